<?php
// Splits and joins the texts of random sessions, and compares with what PHP itself makes of them.
//
//   php entries_test.php [rounds]
declare(strict_types=1);

use Cloakroom\Session\Entries;
use Cloakroom\Session\Value;

require __DIR__ . '/../autoload.php';

final class Point implements JsonSerializable
{
    public mixed $other = null;
    private array $hidden = [1.5, null];
    protected string $guarded = "a\0b";

    public function jsonSerialize(): mixed
    {
        throw new LogicException('nothing asks an object for its JSON');
    }
}

final class Versioned
{
    public function __construct(public array $state = [])
    {
    }

    public function __serialize(): array
    {
        return ['state' => $this->state, 5 => 'x'];
    }

    public function __unserialize(array $data): void
    {
        $this->state = $data['state'];
    }
}

final class Slept
{
    public mixed $kept = 1;
    public mixed $lost = 2;

    public function __sleep(): array
    {
        return ['kept'];
    }
}

enum Suit: string
{
    case Hearts = 'H';
}

function check(bool $holds, string $fact): void
{
    if (!$holds) throw new LogicException("not so: $fact");
}

/** The text that PHP makes of a session, and the session that it makes of a text. */
final class Format
{
    public function __construct(public readonly string $name)
    {
        session_write_close();
        ini_set('session.serialize_handler', $name);
        session_id('aTestThatNeedsNoStore');
        session_start();
    }

    public function encode(array $session): string
    {
        $_SESSION = $session;
        // With the format php, an empty session has no text.
        $text = $session === [] ? '' : session_encode();
        check(is_string($text), 'PHP can encode it');
        return $text;
    }

    public function decode(string $text): array
    {
        $_SESSION = [];
        if ($text !== '') check(session_decode($text), "PHP can decode it: $text");
        return $_SESSION;
    }
}

/** What the service stores and returns, in another order. */
function stored(array $entries): array
{
    $values = array_map(Value::encode(...), $entries);
    $answered = json_decode(json_encode((object) $values, JSON_THROW_ON_ERROR), true);
    $names = array_keys($answered);
    shuffle($names);
    $loaded = [];
    foreach ($names as $name) $loaded[$name] = Value::decode($answered[$name]);
    return $loaded;
}

function randomText(int $longest): string
{
    $parts = ['a', 'ü', '"', ';', '}', '{', ':', 'R:1;', ';r:2;', 's:1:"', "\0", "\xff", '🙂', 'O:8:', ';C:', '0'];
    $text = '';
    for ($i = random_int(0, $longest); $i > 0; $i--) $text .= $parts[array_rand($parts)];
    return $text;
}

function randomValue(int $depth, array &$seen): mixed
{
    $value = match (random_int(0, $depth > 0 ? 17 : 9)) {
        0 => null,
        1 => (bool) random_int(0, 1),
        2 => random_int(PHP_INT_MIN, PHP_INT_MAX),
        3 => random_int(-5, 5),
        4 => [0.1, 1.0, -0.0, 1e300, INF, -INF, 1 / 3, (float) PHP_INT_MAX][random_int(0, 7)],
        5, 6 => randomText(6),
        7 => Suit::Hearts,
        8 => [],
        9 => new stdClass(),
        10, 11 => randomArray($depth - 1, $seen),
        12 => array_values(randomArray($depth - 1, $seen)),
        13 => (object) randomArray($depth - 1, $seen),
        14 => new Versioned(randomArray($depth - 1, $seen)),
        15 => new ArrayObject(randomArray($depth - 1, $seen)),
        16 => randomPoint($depth - 1, $seen),
        17 => new Slept(),
    };
    // An object of before, in another place.
    if ($seen !== [] && random_int(0, 14) === 0) return $seen[array_rand($seen)];
    if (is_object($value) && !$value instanceof UnitEnum) $seen[] = $value;
    return $value;
}

function randomPoint(int $depth, array &$seen): Point
{
    $point = new Point();
    $point->other = random_int(0, 3) === 0 ? $point : randomValue($depth, $seen);
    return $point;
}

function randomArray(int $depth, array &$seen): array
{
    $array = [];
    for ($i = random_int(0, 4); $i > 0; $i--) {
        $array[random_int(0, 1) === 0 ? randomText(3) : random_int(-3, 3)] = randomValue($depth, $seen);
    }
    // A reference to another member.
    if (count($array) > 1 && random_int(0, 9) === 0) {
        $keys = array_keys($array);
        $array[$keys[1]] = &$array[$keys[0]];
    }
    return $array;
}

function randomKey(string $format): string|int
{
    if ($format === 'php_serialize' && random_int(0, 3) === 0) return random_int(-20, 20);
    if (random_int(0, 3) === 0) {
        $key = randomText(4) . (random_int(0, 30) === 0 ? str_repeat('k', 300) : '');
    } else {
        $key = ['cart', 'user', 'flash', '_permanent', '_token', 'php:x', 'php:linked', 'ünïcode'][random_int(0, 7)];
    }
    return $format === 'php' && (is_numeric($key) || $key === '') ? 'n' : $key;
}

function randomSession(string $format): array
{
    [$session, $seen] = [[], []];
    for ($i = random_int(0, 6); $i > 0; $i--) $session[randomKey($format)] = randomValue(3, $seen);
    if (count($session) > 1 && random_int(0, 7) === 0) {
        $keys = array_keys($session);
        $session[$keys[1]] = &$session[$keys[0]];
    }
    return $session;
}

/** Compares sessions with all that is the same object in them. */
function same(array $one, array $other): bool
{
    ksort($one);
    ksort($other);
    return serialize($one) === serialize($other);
}

function randomSessionsKeepAllTheyHave(Format $format, int $rounds): void
{
    $entries = new Entries($format->name);
    $counts = ['json' => 0, 'raw' => 0, 'linked' => 0];
    for ($round = 0; $round < $rounds; $round++) {
        $session = randomSession($format->name);
        $text = $format->encode($session);
        // As PHP itself would have it in the next request.
        $expected = $format->decode($text);
        $split = $entries->split($text);
        $joined = $entries->join(stored($split));
        check(same($format->decode($joined), $expected), "what was split is whole again: $text | $joined");
        check($entries->split($format->encode($format->decode($joined)), $split) == $split, "nothing has changed: $text");
        if ($session !== []) check(!isset($split[Entries::WHOLE]), "it can be split: $text");
        foreach ($split as $name => $value) $counts[$name === Entries::LINKED ? 'linked' : key(Value::encode($value))]++;
    }
    foreach ($counts as $what => $count) check($rounds < 1000 || $count > $rounds / 50, "enough sessions have $what: $count");
}

function aChangeIsFoundAmongWhatIsKnown(Format $format, int $rounds): void
{
    $entries = new Entries($format->name);
    for ($round = 0; $round < $rounds; $round++) {
        $known = $entries->split($format->encode(randomSession($format->name)));
        $text = $format->encode([...$format->decode($entries->join($known)), ...randomSession($format->name)]);
        check($entries->split($text, $known) === $entries->split($text), "what is known changes nothing: $text");
    }
}

function membersThatShareAnObjectAreOneEntry(Format $format): void
{
    $entries = new Entries($format->name);
    $shared = new Point();
    $shared->other = $shared;
    $session = ['alone' => 1, 'left' => [$shared, 'l'], 'own' => new Point(), 'right' => $shared];

    $split = $entries->split($format->encode($session));
    // Another request has changed a member of its own meanwhile, and added one with references.
    $twin = new Point();
    $split = ['more' => serialize([$twin, $twin])] + $split;
    $split['alone'] = serialize(2);
    $again = $format->decode($entries->join($split));

    check(array_keys($split) === ['more', 'alone', 'own', Entries::LINKED], 'only those two are linked');
    check($again['left'][0] === $again['right'] && $again['right']->other === $again['right'], 'it is one object still');
    check($again['more'][0] === $again['more'][1] && $again['more'][0] !== $again['right'], 'and the twins are another');
    check($again['alone'] === 2, 'what is not linked can change');
}

function textsThatCannotBeSplitStayWhole(Format $format): void
{
    $entries = new Entries($format->name);
    $member = $format->name === 'php' ? 'a|%s' : 'a:1:{s:1:"a";%s}';
    $values = ['C:1:"X":5:{i:1;}}', 'S:1:"\61";', 's:9:"a";', 'a:1:{i:0;', 'a:-1:{}', 'i:1', 'O:1:"X":0:{', '', 'r:99;', 'R:1', 'x'];
    foreach ($values as $value) {
        $text = sprintf($member, $value);
        check($entries->split($text) === [Entries::WHOLE => $text], "it stays whole: $text");
        check($entries->join($entries->split($text)) === $text, "and is returned as it is: $text");
    }
    $binary = new Entries('php_binary');
    check($binary->join($binary->split("\x01ai:1;")) === "\x01ai:1;", 'so does an unknown format');
}

function valuesOfOtherClientsAreReadAndUnknownBytesAreNot(): void
{
    foreach (['"ann"' => 'ann', '[1, {"a": null}]' => [1, ['a' => null]], '1.0' => 1.0, '{}' => []] as $json => $value) {
        check(Value::decode(['json' => $json]) === serialize($value), "JSON is read: $json");
    }
    check(Value::decode(['raw' => base64_encode('O:1:"X":0:{}')]) === null, 'unknown bytes are never unserialized');
    check(Value::encode('s:3:"ann";') === ['json' => '"ann"'], 'a text is JSON');
    check(isset(Value::encode("s:1:\"\xff\";")['raw']), 'bytes are not');
}

function whatThePhpFormatCannotHoldIsLeftAlone(): void
{
    check(!(new Entries('php'))->canHold('a|b') && !(new Entries('php'))->canHold('12'), 'not in the format php');
    check((new Entries('php_serialize'))->canHold('a|b') && (new Entries('php_serialize'))->canHold('12'), 'but in the other');
}

$rounds = (int) ($argv[1] ?? 2000);
ini_set('session.use_cookies', '0');
ini_set('session.cache_limiter', '');
// Nothing is stored: only its formats matter here.
session_set_save_handler(new class implements SessionHandlerInterface {
    public function open(string $path, string $name): bool { return true; }
    public function close(): bool { return true; }
    public function read(string $id): string { return ''; }
    public function write(string $id, string $data): bool { return true; }
    public function destroy(string $id): bool { return true; }
    public function gc(int $max_lifetime): int { return 0; }
}, false);
foreach (['php', 'php_serialize'] as $name) {
    $format = new Format($name);
    randomSessionsKeepAllTheyHave($format, $rounds);
    aChangeIsFoundAmongWhatIsKnown($format, $rounds);
    membersThatShareAnObjectAreOneEntry($format);
    textsThatCannotBeSplitStayWhole($format);
}
valuesOfOtherClientsAreReadAndUnknownBytesAreNot();
whatThePhpFormatCannotHoldIsLeftAlone();
echo "ok\n";
