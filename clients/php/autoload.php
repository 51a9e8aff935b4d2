<?php
// Loads the classes of this package, for applications that do not use Composer.
declare(strict_types=1);

spl_autoload_register(static function (string $class): void {
    $prefix = 'Cloakroom\\Session\\';
    if (str_starts_with($class, $prefix)) {
        $file = __DIR__ . '/src/' . substr($class, strlen($prefix)) . '.php';
        if (is_file($file)) require $file;
    }
});
