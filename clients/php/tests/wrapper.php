<?php
// A handler that calls the one of Cloakroom. As those of frameworks, it makes no ids.
declare(strict_types=1);

use Cloakroom\Session\SessionHandler;

require __DIR__ . '/../autoload.php';

final class Wrapper implements SessionHandlerInterface, SessionUpdateTimestampHandlerInterface
{
    public function __construct(private SessionHandler $inner)
    {
    }

    public static function register(SessionHandler $inner): void
    {
        $settings = ['use_strict_mode' => '1', 'use_cookies' => '0', 'cache_limiter' => ''];
        foreach ($settings as $name => $value) ini_set("session.$name", $value);
        session_set_save_handler(new self($inner));
    }

    public function open(string $path, string $name): bool
    {
        return $this->inner->open($path, $name);
    }

    public function close(): bool
    {
        return $this->inner->close();
    }

    public function read(string $id): string|false
    {
        return $this->inner->read($id);
    }

    public function write(string $id, string $data): bool
    {
        return $this->inner->write($id, $data);
    }

    public function destroy(string $id): bool
    {
        return $this->inner->destroy($id);
    }

    public function gc(int $lifetime): int|false
    {
        return $this->inner->gc($lifetime);
    }

    public function validateId(string $id): bool
    {
        return $this->inner->validateId($id);
    }

    public function updateTimestamp(string $id, string $data): bool
    {
        return $this->inner->updateTimestamp($id, $data);
    }
}
