<?php
// Measures the CPU that PHP spends on the session of a request, from session_start to session_write_close. Run by
// `make bench-php`, with the addresses of the servers as JSON.
//
// All handlers take turns in one process. A figure is the median of the rounds, with the quartiles that it lies between.
declare(strict_types=1);

use Cloakroom\Session\SessionHandler;

require __DIR__ . '/../autoload.php';

const REQUESTS = 200;
$rounds = (int) (getenv('BENCH_PHP_ROUNDS') ?: 15);
['tcp' => $tcp, 'unix' => $unix, 'redisTcp' => $redisTcp, 'redisUnix' => $redisUnix, 'folder' => $folder] = json_decode($argv[1], true);

/** A way to store sessions. `begin` sets it up before each request. */
final class Variant
{
    public ?string $id = null;
    /** Microseconds of CPU for a request, by action and round. @var array<string, list<float>> */
    public array $times = [];

    public function __construct(public readonly string $name, private readonly Closure $begin)
    {
    }

    public function request(?Closure $change): void
    {
        ($this->begin)();
        session_id($this->id ?? '');
        if (!session_start()) throw new RuntimeException("$this->name: no session");
        if ($change !== null) $change();
        session_write_close();
        $this->id = session_id();
        $_SESSION = [];
    }

    public function measure(string $action, ?Closure $change): void
    {
        $before = cpu();
        for ($i = 0; $i < REQUESTS; $i++) $this->request($change);
        $this->times[$action][] = (cpu() - $before) / REQUESTS;
    }
}

function cpu(): float
{
    $usage = getrusage();
    return ($usage['ru_utime.tv_sec'] + $usage['ru_stime.tv_sec']) * 1e6 + $usage['ru_utime.tv_usec'] + $usage['ru_stime.tv_usec'];
}

/** @param list<float> $times */
function quartiles(array $times, int $digits): string
{
    sort($times);
    $at = static fn (float $part) => round($times[(int) floor((count($times) - 1) * $part)], $digits);
    return sprintf('%s (%s to %s)', $at(0.5), $at(0.25), $at(0.75));
}

$builtIn = static fn (string $handler, string $path) => static function () use ($handler, $path): void {
    ini_set('session.save_handler', $handler);
    ini_set('session.save_path', $path);
};
$cloakroom = static fn (string $service) => (new SessionHandler(service: $service, app: 'php'))->register();
$kept = new SessionHandler(service: $unix, app: 'php');
$baseline = new Variant('phpredis, TCP', $builtIn('redis', "tcp://$redisTcp"));
$variants = [
    $baseline,
    new Variant('phpredis, Unix socket', $builtIn('redis', "unix://$redisUnix")),
    new Variant('phpredis, Unix socket, persistent', $builtIn('redis', "unix://$redisUnix?persistent=1")),
    new Variant('PHP\'s files', $builtIn('files', $folder)),
    new Variant('Cloakroom, TCP', static fn () => $cloakroom($tcp)),
    new Variant('Cloakroom, Unix socket', static fn () => $cloakroom($unix)),
    new Variant('Cloakroom, Unix socket, one handler', static fn () => $kept->register()),
];
$actions = ['read' => null, 'write' => static fn () => $_SESSION['count']++];
foreach (['use_cookies' => '0', 'use_only_cookies' => '0', 'cache_limiter' => '', 'use_strict_mode' => '1', 'gc_probability' => '0'] as $name => $value) {
    ini_set("session.$name", $value);
}

foreach ($variants as $variant) {
    $variant->request(static fn () => $_SESSION = ['user' => 'ada', 'cart' => range(0, 49), 'text' => str_repeat('x', 500), 'count' => 0]);
}
for ($round = 0; $round <= $rounds; $round++) {
    // Every second round runs backwards, so that no handler profits from its place in the order.
    foreach ($round % 2 === 0 ? $variants : array_reverse($variants) as $variant) {
        foreach ($actions as $action => $change) $variant->measure($action, $change);
    }
}
foreach (array_keys($actions) as $action) {
    echo "\n$action: microseconds of PHP's CPU for the session of a request, and the ratio to $baseline->name\n";
    foreach ($variants as $variant) {
        // The first round warms up.
        $times = array_slice($variant->times[$action], 1);
        $ratios = array_map(static fn (float $one, float $base) => $one / $base, $times, array_slice($baseline->times[$action], 1));
        printf("  %-36s %-24s %s\n", $variant->name, quartiles($times, 0), quartiles($ratios, 2));
    }
}
