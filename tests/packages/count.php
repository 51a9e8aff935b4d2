<?php
// Counts the visits of one session in two requests, with the package that Composer has installed.
//
//   php count.php SERVICE
declare(strict_types=1);

require __DIR__ . '/vendor/autoload.php';

foreach (['use_cookies' => '0', 'use_only_cookies' => '0', 'cache_limiter' => ''] as $name => $value) ini_set("session.$name", $value);
(new Cloakroom\Session\SessionHandler(service: $argv[1], app: 'external', deadline: 60_000))->register();
$visits = [];
foreach ([1, 2] as $request) {
    session_start();
    $visits[] = $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
    session_write_close();
    $_SESSION = [];
}
echo implode(' ', $visits), "\n";
