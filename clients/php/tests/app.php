<?php
// The application of the tests: one action of PHP's session functions a request, and the session as JSON.
//
// HANDLER is `cloakroom`, `redis` or `files`, and GATES a folder in which requests wait for one another. ON_GONE and
// KEEP_EMPTY are options of the handler.
declare(strict_types=1);

use Cloakroom\Session\SessionHandler;

require __DIR__ . '/../autoload.php';

const DEADLINE_SECONDS = 60;

final class Note
{
    public ?self $next = null;

    public function __construct(public string $text)
    {
    }
}

// PHP says that the interface of this class is deprecated, which is no error of a request.
spl_autoload_register(static function (string $class): void {
    if ($class !== 'OldNote') return;
    $level = error_reporting(E_ALL & ~E_DEPRECATED);
    require __DIR__ . '/old_note.php';
    error_reporting($level);
    error_clear_last();
});

function handler(): ?SessionHandler
{
    if (getenv('HANDLER') !== 'cloakroom') return null;
    $handler = new SessionHandler(
        service: explode(',', getenv('CLOAKROOM_ADDRESS')),
        app: 'php',
        deadline: (int) getenv('CLOAKROOM_DEADLINE'),
        onGone: getenv('ON_GONE') === 'default' ? null : static function (string $reason): void { header("x-gone: $reason"); },
        keepEmpty: getenv('KEEP_EMPTY') === '1',
    );
    return $handler->register();
}

/** Says that this request has come as far, and waits for the other one. */
function passGate(string $mine, string $other, float $seconds = DEADLINE_SECONDS): bool
{
    touch(getenv('GATES') . "/$mine");
    for ($end = microtime(true) + $seconds; !file_exists(getenv('GATES') . "/$other"); usleep(500)) {
        clearstatcache();
        if (microtime(true) > $end) return false;
    }
    return true;
}

function fail(): never
{
    http_response_code(503);
    header('retry-after: 5');
    echo json_encode(['error' => error_get_last()['message'] ?? '']);
    exit;
}

ob_start();
header('content-type: application/json');
['do' => $do, 'name' => $name, 'value' => $value] = $_GET + ['do' => 'read', 'name' => '', 'value' => ''];
$handler = handler();
$options = $do === 'read_and_close' ? ['read_and_close' => true] : [];
if (!session_start($options)) fail();
$result = null;
match ($do) {
    'read', 'read_and_close' => null,
    'set' => $_SESSION[$name] = json_decode($value, true),
    'unset' => $_SESSION = array_diff_key($_SESSION, [$name => true]),
    'clear' => $_SESSION = [],
    'object' => $_SESSION[$name] = new Note($value),
    'old_object' => $_SESSION[$name] = new OldNote($value),
    'link' => $_SESSION['link'] = [$_SESSION[$name]],
    'linked' => $result = $_SESSION['link'][0] === $_SESSION[$name] ? $_SESSION[$name]->text : null,
    'count' => $_SESSION[$name] = ($_SESSION[$name] ?? 0) + 1,
    // Two requests that are under way at the same time: each has loaded before the other one saves.
    'meet' => [$result = passGate($name, $_GET['other'], (float) ($_GET['seconds'] ?? DEADLINE_SECONDS)), $_SESSION[$name] = $value],
    'hold' => [$_SESSION[$name] = $value, $result = passGate('held', 'released')],
    'regenerate' => [$_SESSION[$name] = $value, $result = session_regenerate_id((bool) $_GET['delete'])],
    // Other requests end the session while this one waits to change its id.
    'move' => [
        passGate('held', 'released'), $result = session_regenerate_id((bool) $_GET['delete']),
        $result || !isset($_GET['again']) || session_start(), $_SESSION[$name] = json_decode($value, true),
    ],
    'login' => [session_regenerate_id(true), $handler->setSubject($value), $_SESSION['user'] = $value],
    'forget' => $handler->setSubject(null),
    'destroy' => $result = session_destroy(),
    'abort' => [$_SESSION[$name] = $value, session_abort()],
    'reset' => [$_SESSION[$name] = $value, session_reset()],
    'twice' => [$_SESSION[$name] = $value, session_write_close(), session_start(), $_SESSION["$name again"] = $value],
    'dump' => [print_r($handler), var_dump($handler)],
};
$page = $do === 'dump' ? ob_get_contents() : '';
$error = error_get_last()['message'] ?? null;
session_write_close();
ob_end_clean();
echo json_encode([
    'entries' => (object) $_SESSION, 'result' => $result, 'page' => $page,
    'started' => $error, 'error' => error_get_last()['message'] ?? null,
]);
