<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/**
 * Keeps the sessions of PHP in an app of the kind `external`.
 *
 * PHP makes the cookie, and its session id is the key of the session in Cloakroom. Nothing is locked: a save sends only
 * the members of `$_SESSION` that this request has changed, so that requests at the same time keep each other's.
 */
final class SessionHandler implements
    \SessionHandlerInterface,
    \SessionUpdateTimestampHandlerInterface,
    \SessionIdInterface
{
    /** The member of `$_SESSION` that `setSubject` sets. So it moves to another session id as all members do. */
    public const SUBJECT = Entries::SUBJECT;
    private const ID_BYTES = 24;
    /** Milliseconds for which a load that the service did not answer fails again at once in its request. */
    private const OUTAGE = 5000;

    private readonly Client $client;
    /** @var \Closure(string): void */
    private readonly \Closure $onGone;
    private ?Entries $entries = null;
    private ?LoadedSession $loaded = null;
    /** An id that this handler has made, and of which it has sent no save: the service does not know it. */
    private ?string $created = null;
    /** What `validateId` could not do. `read` fails for it. */
    private ?ServiceError $failure = null;
    /** The last load that got no answer, by its id and request; its error, and when it may be made again. @var ?array{string, Unavailable, float} */
    private ?array $unanswered = null;

    /**
     * @param string|list<string> $service one or more addresses: `host:port`, `https://host:port` or `unix:/path`
     * @param string $token the caller token, if callers are configured
     * @param ?string $caFile certificates of the authorities that may have signed the service's
     * @param ?string $certFile the caller's certificate, and `$keyFile` its key
     * @param int $deadline milliseconds for one call, including its repeats
     * @param ?\Closure(string): void $onGone is told the reason if a session had ended before it was saved
     * @param bool $keepEmpty whether to store a session without content
     * @param bool $sendContext whether to send the user agent and the address, for the list of a user's devices
     */
    public function __construct(
        string|array $service = 'localhost:50051',
        string $app = 'default',
        #[\SensitiveParameter] string $token = '',
        ?string $caFile = null,
        ?string $certFile = null,
        ?string $keyFile = null,
        int $deadline = 2000,
        ?\Closure $onGone = null,
        private readonly bool $keepEmpty = false,
        private readonly bool $sendContext = true,
    ) {
        $this->client = new Client($service, $app, $token, $caFile, $certFile, $keyFile, $deadline);
        $this->onGone = $onGone ?? self::noteGone(...);
    }

    /** Makes this the session handler of PHP, in strict mode: a browser must not choose the id of a session. */
    public function register(): self
    {
        if (session_status() === PHP_SESSION_ACTIVE) {
            throw new \LogicException('a session has begun without Cloakroom: switch session.auto_start off, and call register() before session_start()');
        }
        ini_set('session.use_strict_mode', '1');
        session_set_save_handler($this, true);
        return $this;
    }

    /** Sets the user of the session, at most 256 bytes; null for none. The save at the end of the request sends it. */
    public function setSubject(?string $subject): void
    {
        if (session_status() !== PHP_SESSION_ACTIVE) throw new \LogicException('start the session before you set its subject');
        if (preg_match('//u', $subject ?? '') !== 1) throw new \InvalidArgumentException('the subject is not UTF-8');
        $_SESSION[self::SUBJECT] = $subject;
        if ($subject === null) unset($_SESSION[self::SUBJECT]);
    }

    public function open(string $path, string $name): bool
    {
        if (!filter_var(ini_get('session.use_strict_mode'), FILTER_VALIDATE_BOOL)) {
            return self::warn('session.use_strict_mode is off, so that an attacker could choose the id of a session (session fixation): set it to 1, or call register()');
        }
        $this->entries = new Entries((string) ini_get('session.serialize_handler'));
        return true;
    }

    public function create_sid(): string
    {
        return $this->created = bin2hex(random_bytes(self::ID_BYTES));
    }

    /** Whether there is a session of this id. If that cannot be known now, `read` fails, and the browser keeps its id. */
    public function validateId(#[\SensitiveParameter] string $id): bool
    {
        // A browser may send anything.
        if ($id === $this->created || strlen($id) < 16 || strlen($id) > 256) return false;
        // While a session is open, `session_create_id` asks for another id, which nothing reads.
        $isOpening = $this->loaded === null || $this->loaded->id === $id;
        try {
            $found = $this->load($id);
            if ($isOpening) $this->loaded = $found;
            return $found->exists;
        } catch (ServiceError $error) {
            if ($isOpening) $this->failure = $error;
            return true;
        }
    }

    public function read(#[\SensitiveParameter] string $id): string|false
    {
        $format = $this->format();
        try {
            [$failure, $this->failure] = [$this->failure, null];
            if ($failure !== null) throw $failure;
            if ($id === $this->created) $this->loaded = new LoadedSession($id);
            elseif ($this->loaded?->id !== $id) $this->loaded = $this->load($id);
            return $this->loaded->entries === [] ? '' : $format->join($this->loaded->entries);
        } catch (ServiceError $error) {
            return self::warn($error->getMessage());
        }
    }

    public function write(#[\SensitiveParameter] string $id, #[\SensitiveParameter] string $data): bool
    {
        if ($this->loaded?->id !== $id) $this->loaded = new LoadedSession($id);
        try {
            $isLive = $this->save($this->loaded, $this->split($data, $this->loaded->entries));
            return $isLive || !self::isIdChanging();
        } catch (ServiceError $error) {
            return self::warn($error->getMessage());
        }
    }

    /** PHP calls this instead of `write` if nothing has changed. The load was a use of the session already. */
    public function updateTimestamp(#[\SensitiveParameter] string $id, #[\SensitiveParameter] string $data): bool
    {
        return $this->write($id, $data);
    }

    public function destroy(#[\SensitiveParameter] string $id): bool
    {
        $isMove = $this->loaded?->exists && self::isIdChanging();
        $this->loaded = null;
        if ($id === $this->created) return true;
        try {
            $answer = $this->client->call('DestroySession', ['key' => base64_encode($id), 'requestId' => self::requestId()]);
            return !$isMove || $this->wasLive($answer);
        } catch (ServiceError $error) {
            return self::warn($error->getMessage());
        }
    }

    public function close(): bool
    {
        $this->loaded = null;
        return true;
    }

    /** Does nothing, because the service ends sessions. */
    public function gc(int $max_lifetime): int
    {
        return 0;
    }

    /** Keeps session ids out of dumps. @return array<string, mixed> */
    public function __debugInfo(): array
    {
        return ['client' => $this->client];
    }

    private function load(#[\SensitiveParameter] string $id): LoadedSession
    {
        $session = $this->openSession($id)['session'];
        if (($session['new'] ?? false) || isset($session['nullSession'])) return new LoadedSession($id);
        $loaded = new LoadedSession($id, true);
        foreach ($session['entries'] ?? [] as $name => $value) {
            if ($this->format()->canHold((string) $name)) $loaded->entries[$name] = Value::decode($value);
        }
        // Those that another client has written as bytes.
        $loaded->entries = array_filter($loaded->entries, is_string(...));
        return $loaded;
    }

    /** A request that calls `session_start` again in an outage waits no second time. @return array<string, mixed> */
    private function openSession(#[\SensitiveParameter] string $id): array
    {
        // A process that keeps its handler has many requests.
        $load = $id . ' ' . ($_SERVER['REQUEST_TIME_FLOAT'] ?? '');
        [$failed, $error, $end] = $this->unanswered ?? ['', null, 0];
        if ($failed === $load && Clock::now() < $end) throw $error;
        try {
            return $this->client->call('OpenSession', ['key' => base64_encode($id)]);
        } catch (Unavailable $error) {
            $this->unanswered = [$load, $error, Clock::now() + self::OUTAGE];
            throw $error;
        }
    }

    /** @param array<array-key, string> $known @return array<array-key, string> */
    private function split(#[\SensitiveParameter] string $data, #[\SensitiveParameter] array $known): array
    {
        $entries = $this->format()->split($data, $known);
        $subject = $_SESSION[self::SUBJECT] ?? null;
        // Nobody finds the subject inside of a session that is one entry, so it is an entry beside it.
        if (isset($entries[Entries::WHOLE]) && is_string($subject)) $entries[self::SUBJECT] = serialize($subject);
        return $entries;
    }

    /** Returns false if the session had ended. @param array<array-key, string> $entries */
    private function save(LoadedSession $loaded, #[\SensitiveParameter] array $entries): bool
    {
        $changes = self::changes($loaded->entries, $entries);
        // Without a change, the call finds out whether the session still lives.
        $isNeeded = $loaded->exists ? self::isIdChanging() : $this->keepEmpty;
        if ($changes === [] && !$isNeeded) return true;
        // The service may know the id from here on, also if there is no answer.
        $this->created = null;
        $answer = $this->client->call('SaveSession', [
            'key' => base64_encode($loaded->id), 'requestId' => self::requestId(), 'changes' => (object) $changes,
            'keepEmpty' => $this->keepEmpty, ...$this->context(),
        ]);
        if (!$this->wasLive($answer)) return false;
        // In another format each session is one entry from its beginning.
        $hadMembers = $loaded->entries !== [] && !isset($loaded->entries[Entries::WHOLE]);
        [$loaded->exists, $loaded->entries] = [true, $entries];
        if ($hadMembers && isset($entries[Entries::WHOLE]) && !isset($entries[self::SUBJECT])) self::noteWhole();
        return true;
    }

    /** Tells the application if a session had ended before a call. @param array<string, mixed> $answer */
    private function wasLive(array $answer): bool
    {
        if ($answer['outcome'] !== 'OUTCOME_GONE') return true;
        ($this->onGone)(substr($answer['endReason'] ?? '', strlen('END_REASON_')));
        return false;
    }

    /** Whether `session_regenerate_id` has called. It would give all members of a session that has ended another id. */
    private static function isIdChanging(): bool
    {
        return in_array('session_regenerate_id', array_column(debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS), 'function'), true);
    }

    /**
     * Returns what a save has to send.
     *
     * @param array<array-key, string> $before @param array<array-key, string> $after
     * @return array<string, mixed>
     */
    private static function changes(#[\SensitiveParameter] array $before, #[\SensitiveParameter] array $after): array
    {
        [$set, $changes] = [[], []];
        foreach ($after as $name => $text) {
            if (($before[$name] ?? null) !== $text) $set[$name] = Value::encode($text);
        }
        $unset = array_diff_key($before, $after);
        if ($set !== []) $changes['set'] = (object) $set;
        // PHP makes integers of such names.
        if ($unset !== []) $changes['unset'] = array_map(strval(...), array_keys($unset));
        if (isset($unset[self::SUBJECT])) $changes['subject'] = '';
        if (isset($set[self::SUBJECT]['json'])) $changes['subject'] = json_decode($set[self::SUBJECT]['json']);
        return $changes;
    }

    /** A text in another format could be split where its author likes, such as into the entry that names the user. */
    private function format(): Entries
    {
        return $this->entries ?? throw new \LogicException(
            'PHP has not opened this handler: it is for the session functions of PHP, not for a framework that has sessions of its own'
        );
    }

    /** @return array<string, mixed> */
    private function context(): array
    {
        if (!$this->sendContext || !isset($_SERVER['REMOTE_ADDR'])) return [];
        $userAgent = (string) ($_SERVER['HTTP_USER_AGENT'] ?? '');
        return ['context' => ['userAgent' => $userAgent, 'remoteAddress' => $_SERVER['REMOTE_ADDR']]];
    }

    private static function requestId(): string
    {
        return bin2hex(random_bytes(16));
    }

    private static function noteGone(string $reason): void
    {
        trigger_error("the session had ended ($reason) before it was saved; nothing was written", E_USER_NOTICE);
    }

    private static function noteWhole(): void
    {
        $advice = 'in an app without subject_key, name the user by setSubject()';
        trigger_error("the session is stored as one entry, in which the service finds no user; $advice", E_USER_NOTICE);
    }

    /** PHP says in a warning of its own which of its functions has failed. */
    private static function warn(string $message): false
    {
        trigger_error($message, E_USER_WARNING);
        return false;
    }
}
