<?php
// Adds one to a member of a session for each line of its input, and prints what happened.
//
//   php count.php OPTIONS    OPTIONS: the arguments of the handler as JSON. A line is a session id, or empty for a new one.
//
// A line `destroy ID` tells the handler to end that session. After a line `request`, all belongs to another request.
declare(strict_types=1);

use Cloakroom\Session\SessionHandler;

require __DIR__ . '/../autoload.php';

$warnings = [];
set_error_handler(static function (int $level, string $message) use (&$warnings): bool {
    $warnings[] = $message;
    return true;
});
foreach (['use_cookies' => '0', 'use_only_cookies' => '0', 'cache_limiter' => ''] as $name => $value) ini_set("session.$name", $value);
$handler = (new SessionHandler(...json_decode($argv[1], true)))->register();
while (($line = fgets(STDIN)) !== false) {
    $warnings = [];
    if (str_starts_with($line, 'destroy ')) {
        fwrite(STDOUT, json_encode(['destroyed' => $handler->destroy(trim(substr($line, 8)))]) . "\n");
        continue;
    }
    if (trim($line) === 'request') {
        $_SERVER['REQUEST_TIME_FLOAT']++;
        fwrite(STDOUT, "{}\n");
        continue;
    }
    session_id(trim($line));
    $started = session_start();
    $id = session_id();
    if ($started) $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
    session_write_close();
    $printed = ['started' => $started, 'id' => $id, 'count' => $_SESSION['count'] ?? null, 'warnings' => $warnings];
    // PHP sends no headers before this, as it does before what `echo` prints.
    fwrite(STDOUT, json_encode($printed) . "\n");
    $_SESSION = [];
}
