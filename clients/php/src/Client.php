<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/** Calls the service by the Connect protocol, with JSON over HTTP/1.1, on one connection that stays open. */
final class Client
{
    /** Milliseconds. */
    private const CONNECT_TIMEOUT = 1000;
    private const SHORTEST_ATTEMPT = 100;
    private const FIRST_PAUSE = 100;
    private const LONGEST_PAUSE = 1000;
    /** Statuses of the service that a repeat may change. */
    private const TEMPORARY = [429, 503, 504];
    private const JSON = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR;

    /** @var non-empty-list<Address> */
    private readonly array $addresses;
    /** By process and address, because two processes must not use one connection. @var array<string, \CurlHandle> */
    private array $handles = [];
    /** Which of the addresses the next attempt takes. */
    private int $turn;

    /**
     * @param string|list<string> $service one or more addresses: `host:port`, `https://host:port` or `unix:/path`
     * @param string $token the caller token, if callers are configured
     * @param int $deadline milliseconds for one call, including its repeats
     */
    public function __construct(
        string|array $service,
        private readonly string $app,
        #[\SensitiveParameter] private readonly string $token = '',
        private readonly ?string $caFile = null,
        private readonly ?string $certFile = null,
        private readonly ?string $keyFile = null,
        private readonly int $deadline = 2000,
    ) {
        $addresses = array_map(Address::parse(...), array_values((array) $service));
        if ($addresses === []) throw new \InvalidArgumentException('name at least one address of the service');
        if ($deadline < 1) throw new \InvalidArgumentException('the deadline has to be at least 1 millisecond');
        $this->addresses = $addresses;
        // So that all replicas get calls.
        $this->turn = random_int(0, count($addresses) - 1);
    }

    /**
     * Calls an RPC of SessionService, and repeats the same bytes until the deadline if there is no answer. A save needs
     * a request_id for that.
     *
     * @param array<string, mixed> $request
     * @return array<string, mixed>
     */
    public function call(string $method, #[\SensitiveParameter] array $request): array
    {
        $body = json_encode(['app' => $this->app, ...$request], self::JSON);
        $end = self::now() + $this->deadline;
        for ($attempt = 1; ; $attempt++) {
            try {
                return $this->attempt($method, $body, self::timeout($end), $attempt > 1);
            } catch (Unavailable $error) {
                $this->turn++;
                $pause = $this->pause($attempt);
                if (self::now() + $pause >= $end) throw $error;
                usleep((int) ($pause * 1000));
            }
        }
    }

    /** Keeps the token out of dumps. @return array<string, mixed> */
    public function __debugInfo(): array
    {
        return ['app' => $this->app, 'addresses' => $this->addresses];
    }

    /** @return array<string, mixed> */
    private function attempt(string $method, #[\SensitiveParameter] string $body, int $timeout, bool $repeated): array
    {
        $address = $this->addresses[$this->turn % count($this->addresses)];
        $curl = $this->handles[getmypid() . " $address->url $address->socket"] ??= $this->newHandle($address);
        curl_setopt_array($curl, [
            CURLOPT_URL => "$address->url/cloakroom.v1.SessionService/$method",
            CURLOPT_HTTPHEADER => $this->headers($timeout),
            CURLOPT_POSTFIELDS => $body,
            CURLOPT_TIMEOUT_MS => $timeout,
            CURLOPT_CONNECTTIMEOUT_MS => min($timeout, self::CONNECT_TIMEOUT),
            // The connection may be what has failed.
            CURLOPT_FRESH_CONNECT => $repeated,
        ]);
        $answer = curl_exec($curl);
        $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        if ($answer === false) throw new Unavailable('Cloakroom does not answer: ' . curl_error($curl));
        if ($status === 200) return json_decode($answer, true, flags: JSON_THROW_ON_ERROR);
        throw self::error($status, $answer);
    }

    private function newHandle(Address $address): \CurlHandle
    {
        $curl = curl_init();
        curl_setopt_array($curl, [
            CURLOPT_POST => true,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_HTTP_VERSION => CURL_HTTP_VERSION_1_1,
            CURLOPT_NOSIGNAL => true,
            // None, because calls carry secrets.
            CURLOPT_PROXY => '',
        ]);
        if ($address->socket !== null) curl_setopt($curl, CURLOPT_UNIX_SOCKET_PATH, $address->socket);
        if ($this->caFile !== null) curl_setopt($curl, CURLOPT_CAINFO, $this->caFile);
        if ($this->certFile !== null) curl_setopt($curl, CURLOPT_SSLCERT, $this->certFile);
        if ($this->keyFile !== null) curl_setopt($curl, CURLOPT_SSLKEY, $this->keyFile);
        return $curl;
    }

    /** @return list<string> */
    private function headers(int $timeout): array
    {
        // Without "expect:", curl waits for a go-ahead before it sends a large body.
        $headers = ['content-type: application/json', "connect-timeout-ms: $timeout", 'expect:'];
        return $this->token === '' ? $headers : [...$headers, "authorization: Bearer $this->token"];
    }

    /** Half of what is left, so that a lost answer leaves time for a repeat. */
    private static function timeout(float $end): int
    {
        $left = $end - self::now();
        return (int) max($left / 2, min($left, self::SHORTEST_ATTEMPT), 1);
    }

    /** Milliseconds before the next attempt: none as long as there are replicas that were not asked. */
    private function pause(int $attempt): float
    {
        $round = $attempt - count($this->addresses);
        if ($round < 0) return 0;
        $longest = min(self::FIRST_PAUSE * 2 ** min($round, 10), self::LONGEST_PAUSE);
        return $longest * random_int(50, 100) / 100;
    }

    private static function error(int $status, string $answer): ServiceError
    {
        $error = json_decode($answer, true);
        $reason = $error['details'][0]['debug']['reason'] ?? '';
        $message = "Cloakroom refuses the call: " . ($error['message'] ?? "HTTP status $status") . ($reason ? " ($reason)" : '');
        return in_array($status, self::TEMPORARY, true) ? new Unavailable($message, $reason) : new ServiceError($message, $reason);
    }

    /** Milliseconds of a clock that nobody sets. */
    private static function now(): float
    {
        return hrtime(true) / 1e6;
    }
}
