<?php
// An application with PHP's sessions. Who names a user is logged in.
declare(strict_types=1);

require __DIR__ . '/../../clients/php/autoload.php';

(new Cloakroom\Session\SessionHandler(service: getenv('CLOAKROOM_ADDRESS'), app: 'stores', deadline: 60_000))->register();
if (!session_start()) {
    http_response_code(503);
    exit;
}
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/login':
        session_regenerate_id(true);
        $_SESSION['user'] = $_POST['username'];
        header('Location: /', true, 303);
        break;
    case '/set':
        $_SESSION[$_GET['name']] = $_GET['value'];
        echo 'set';
        break;
    default:
        $user = $_SESSION['user'] ?? null;
        echo '<link rel="icon" href="data:,"><p>', $user === null ? 'not logged in' : 'logged in as ' . htmlspecialchars($user), '</p>',
            '<form method="post" action="/login"><input name="username"><button>Log in</button></form>';
}
