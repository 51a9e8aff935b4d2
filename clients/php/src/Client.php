<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/** Calls the service by the Connect protocol, with JSON over HTTP/1.1, on one connection that stays open. */
final class Client
{
    /** Milliseconds. */
    private const SHORTEST_ATTEMPT = 100;
    private const FIRST_PAUSE = 100;
    private const LONGEST_PAUSE = 1000;
    /** Statuses of the service, or of a proxy before it, that a repeat may change. */
    private const TEMPORARY = [429, 502, 503, 504];
    /** How PHP and OpenSSL describe a certificate of another authority, or for another name. */
    private const UNTRUSTED = '~certificate verify failed|peer certificate~i';
    private const JSON = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR;

    /** @var non-empty-list<Address> */
    private readonly array $addresses;
    /** By process and address, because two processes must not use one connection. @var array<string, Connection> */
    private array $idle = [];
    /** Options of PHP's context `ssl`, which verifies the service's certificate by default. @var array<string, string> */
    private readonly array $tls;
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
        ?string $caFile = null,
        ?string $certFile = null,
        ?string $keyFile = null,
        private readonly int $deadline = 2000,
    ) {
        $addresses = array_map(Address::parse(...), array_values((array) $service));
        if ($addresses === []) throw new \InvalidArgumentException('name at least one address of the service');
        if ($deadline < 1) throw new \InvalidArgumentException('the deadline has to be at least 1 millisecond');
        // Nothing else may be in a header.
        if (preg_match('/[^\x21-\x7e]/', $token) === 1) throw new \InvalidArgumentException('the token is not one that the service makes');
        $this->addresses = $addresses;
        $files = ['cafile' => $caFile, 'local_cert' => $certFile, 'local_pk' => $keyFile];
        $this->tls = ['alpn_protocols' => 'http/1.1', ...array_filter($files, is_string(...))];
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
        $end = Clock::now() + $this->deadline;
        $failed = $before = null;
        for ($attempt = 1; ; $attempt++) {
            try {
                return $this->attempt($method, $body, self::timeout($end));
            } catch (Unavailable $error) {
                // Another replica may have a certificate that is trusted.
                if (self::isUntrusted($error) && count($this->addresses) === 1) throw $error;
                $this->turn++;
                if ($error->getMessage() !== $failed?->getMessage()) [$before, $failed] = [$failed, $error];
                $pause = $this->pause($attempt);
                if (Clock::now() + $pause >= $end) throw self::withReason($error, $before);
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
    private function attempt(string $method, #[\SensitiveParameter] string $body, int $timeout): array
    {
        $address = $this->addresses[$this->turn % count($this->addresses)];
        $place = getmypid() . " $address->target";
        $end = Clock::now() + $timeout;
        try {
            $connection = $this->take($place) ?? Connection::open($address, $this->tls, $end);
            [$status, $answer] = $connection->post("/cloakroom.v1.SessionService/$method", $this->headers($timeout), $body, $end);
        } catch (Unavailable $error) {
            $advice = self::isUntrusted($error)
                ? "; set caFile to the authority of the service's certificate, which has to name the host of $address->host" : '';
            throw new Unavailable('Cloakroom does not answer: ' . $error->getMessage() . $advice);
        }
        $this->idle[$place] = $connection;
        if ($status === 200) return json_decode($answer, true) ?? throw new ServiceError('this is not Cloakroom: its answer is not JSON');
        throw self::error($status, $answer);
    }

    /** Takes an idle connection away, so that nothing else uses it, and so that it is gone after an error. */
    private function take(string $place): ?Connection
    {
        $connection = $this->idle[$place] ?? null;
        unset($this->idle[$place]);
        return $connection?->isUsable() ? $connection : null;
    }

    /** @return list<string> */
    private function headers(int $timeout): array
    {
        $headers = ['content-type: application/json', "connect-timeout-ms: $timeout"];
        return $this->token === '' ? $headers : [...$headers, "authorization: Bearer $this->token"];
    }

    /** Half of what is left, so that a lost answer leaves time for a repeat. */
    private static function timeout(float $end): int
    {
        $left = $end - Clock::now();
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

    private static function isUntrusted(Unavailable $error): bool
    {
        // With a reason, the service has answered.
        return $error->reason === '' && preg_match(self::UNTRUSTED, $error->getMessage()) === 1;
    }

    /** Adds the failure that was another one: the last attempt may only have had no time. */
    private static function withReason(Unavailable $error, ?Unavailable $before): Unavailable
    {
        if ($before === null) return $error;
        return new Unavailable($error->getMessage() . '; the attempt before: ' . $before->getMessage(), $error->reason);
    }

    private static function error(int $status, string $answer): ServiceError
    {
        $error = json_decode($answer, true);
        $reason = $error['details'][0]['debug']['reason'] ?? '';
        $message = "Cloakroom refuses the call: " . ($error['message'] ?? "HTTP status $status") . ($reason ? " ($reason)" : '');
        $isTemporary = in_array($status, self::TEMPORARY, true) && $reason !== 'REQUEST_TOO_LARGE';
        return $isTemporary ? new Unavailable($message, $reason) : new ServiceError($message, $reason);
    }
}
