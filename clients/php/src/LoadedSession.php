<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/** What the service has of a session, as far as this request knows. */
final class LoadedSession
{
    /**
     * @param bool $exists whether the session is stored
     * @param array<array-key, string> $entries by name, in the form of `serialize()`
     */
    public function __construct(
        public readonly string $id,
        public bool $exists = false,
        public array $entries = [],
    ) {
    }
}
