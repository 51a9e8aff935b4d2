<?php
// Adds one to a member of a session, and prints what happened.
//
//   php count.php OPTIONS [SESSION_ID]    OPTIONS: the arguments of the handler as JSON
declare(strict_types=1);

use Cloakroom\Session\SessionHandler;

require __DIR__ . '/../autoload.php';

$warnings = [];
set_error_handler(static function (int $level, string $message) use (&$warnings): bool {
    $warnings[] = $message;
    return true;
});
foreach (['use_cookies' => '0', 'use_only_cookies' => '0', 'cache_limiter' => ''] as $name => $value) ini_set("session.$name", $value);
(new SessionHandler(...json_decode($argv[1], true)))->register();
if (isset($argv[2])) session_id($argv[2]);
$started = session_start();
$id = session_id();
if ($started) $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
session_write_close();
echo json_encode(['started' => $started, 'id' => $id, 'count' => $_SESSION['count'] ?? null, 'warnings' => $warnings]);
