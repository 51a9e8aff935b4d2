<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/**
 * A connection to a replica: calls by HTTP/1.1, one after another.
 *
 * Every method ends by the time that it is given, in milliseconds of `Clock`. After an error the connection is of no
 * use, because the rest of an answer may still come.
 */
final class Connection
{
    private const CONNECT_TIMEOUT = 1000;
    private const LONGEST_IDLE = 60_000;
    private const LARGEST_HEAD = 65_536;
    private const CHUNK = 65_536;

    private float $used;
    private bool $isLast = false;

    /** @param resource $stream */
    private function __construct(private $stream, private readonly string $host)
    {
    }

    /** @param array<string, mixed> $tls options of PHP's context `ssl` */
    public static function open(Address $address, #[\SensitiveParameter] array $tls, float $end): self
    {
        $seconds = max(1, min(self::CONNECT_TIMEOUT, $end - Clock::now())) / 1000;
        $context = stream_context_create(['ssl' => $tls, 'socket' => ['tcp_nodelay' => true]]);
        $stream = self::withoutWarnings(static function () use ($address, $seconds, $context) {
            return stream_socket_client($address->target, $code, $message, $seconds, STREAM_CLIENT_CONNECT, $context);
        });
        return new self($stream, $address->host);
    }

    /** Whether the service has left it open, as far as can be seen, and no answer has said that it was the last. */
    public function isUsable(): bool
    {
        if ($this->isLast || Clock::now() - $this->used > self::LONGEST_IDLE) return false;
        // Nothing is due, so what can be read is the end.
        [$readable, $none] = [[$this->stream], null];
        return stream_select($readable, $none, $none, 0) === 0;
    }

    /**
     * Sends a request, and returns the status and the body of the answer.
     *
     * @param list<string> $headers
     * @return array{int, string}
     */
    public function post(string $path, #[\SensitiveParameter] array $headers, #[\SensitiveParameter] string $body, float $end): array
    {
        $lines = ["POST $path HTTP/1.1", "host: $this->host", 'content-length: ' . strlen($body), ...$headers];
        return self::withoutWarnings(function () use ($lines, $body, $end): array {
            $this->send(implode("\r\n", $lines) . "\r\n\r\n" . $body, $end);
            return $this->receive($end);
        });
    }

    private function send(string $bytes, float $end): void
    {
        for ($sent = 0; $sent < strlen($bytes); $sent += $count) {
            $this->limit($end);
            $count = fwrite($this->stream, $sent === 0 ? $bytes : substr($bytes, $sent));
            if ($count === false || $count === 0) throw $this->lost();
        }
    }

    /** @return array{int, string} */
    private function receive(float $end): array
    {
        $bytes = '';
        while (($length = strpos($bytes, "\r\n\r\n")) === false) {
            if (strlen($bytes) > self::LARGEST_HEAD) throw new ServiceError('this is not Cloakroom: its answer has no end of the headers');
            $bytes .= $this->read($end);
        }
        [$head, $begin] = [substr($bytes, 0, $length), $length + strlen("\r\n\r\n")];
        if (preg_match('~^HTTP/1\.[01] (\d{3})[ \r].*\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?:\r|$)~is', $head, $found) !== 1) {
            throw new ServiceError('this is not Cloakroom: its answer is not HTTP/1.1 with a length');
        }
        while (strlen($bytes) < $begin + (int) $found[2]) $bytes .= $this->read($end);
        if (strlen($bytes) > $begin + (int) $found[2]) throw new ServiceError('this is not Cloakroom: its answer is longer than it says');
        $this->isLast = preg_match('~\r\nconnection:[ \t]*close~i', $head) === 1;
        $this->used = Clock::now();
        return [(int) $found[1], substr($bytes, $begin)];
    }

    private function read(float $end): string
    {
        $this->limit($end);
        $bytes = fread($this->stream, self::CHUNK);
        // TLS may have received something that is no data.
        $isOver = stream_get_meta_data($this->stream)['timed_out'] || feof($this->stream);
        if ($bytes === false || ($bytes === '' && $isOver)) throw $this->lost();
        return $bytes;
    }

    private function limit(float $end): void
    {
        $left = $end - Clock::now();
        if ($left <= 0) throw new Unavailable('no answer in time');
        stream_set_timeout($this->stream, intdiv((int) $left, 1000), max(1, (int) ($left * 1000) % 1_000_000));
    }

    private function lost(): Unavailable
    {
        $isLate = stream_get_meta_data($this->stream)['timed_out'];
        return new Unavailable($isLate ? 'no answer in time' : 'the connection was closed before the answer');
    }

    /** PHP says by warnings why a connection fails. @param \Closure(): mixed $action */
    private static function withoutWarnings(\Closure $action): mixed
    {
        $warnings = [];
        set_error_handler(static function (int $level, string $message) use (&$warnings): bool {
            $warnings[] = preg_replace('/^\w+\(\): /', '', $message);
            return true;
        });
        try {
            $result = $action();
        } finally {
            restore_error_handler();
        }
        if ($result === false) throw new Unavailable(implode(' ', $warnings));
        return $result;
    }
}
