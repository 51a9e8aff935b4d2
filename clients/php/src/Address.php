<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/** The address of a replica of the service, as curl needs it. */
final class Address
{
    private function __construct(public readonly string $url, public readonly ?string $socket = null)
    {
    }

    /** Reads `host:port`, `http://host:port`, `https://host:port` or `unix:/path`. */
    public static function parse(string $text): self
    {
        if (str_starts_with($text, 'unix:/')) return new self('http://localhost', substr($text, strlen('unix:')));
        $url = str_contains($text, '://') ? rtrim($text, '/') : "http://$text";
        if (preg_match('~^https?://([^/:@?#\s]+|\[[0-9a-fA-F:.]+\]):\d+$~D', $url) === 1) return new self($url);
        throw new \InvalidArgumentException(
            'the address of the service is not host:port, https://host:port or unix:/path'
        );
    }
}
