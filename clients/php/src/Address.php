<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/** The address of a replica of the service. */
final class Address
{
    private function __construct(public readonly string $target, public readonly string $host)
    {
    }

    /** Reads `host:port`, `http://host:port`, `https://host:port` or `unix:/path`. */
    public static function parse(string $text): self
    {
        if (str_starts_with($text, 'unix:/')) return new self('unix://' . substr($text, strlen('unix:')), 'localhost');
        $pattern = '~^(?:http(s?)://)?((?:[^/:@?#\s]+|\[[0-9a-fA-F:.]+\]):\d+)/?$~D';
        if (preg_match($pattern, $text, $parts) !== 1) {
            throw new \InvalidArgumentException(
                'the address of the service is not host:port, https://host:port or unix:/path'
            );
        }
        return new self(($parts[1] === 's' ? 'ssl://' : 'tcp://') . $parts[2], $parts[2]);
    }
}
