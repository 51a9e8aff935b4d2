<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/**
 * Translates a value in the form of `serialize()` to the value of an entry, and back.
 *
 * What JSON can hold without a loss is JSON: other languages and operators can read it, and the service finds the
 * subject there. All else is bytes that begin with a mark, so that nothing else's bytes are ever unserialized.
 */
final class Value
{
    private const MARK = 'php:';
    /** The service takes 127 levels. */
    private const DEPTH = 100;
    private const FLAGS = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION;

    /** @return array<string, string> */
    public static function encode(#[\SensitiveParameter] string $serialized): array
    {
        $json = self::json($serialized);
        return $json === null ? ['raw' => base64_encode(self::MARK . $serialized)] : ['json' => $json];
    }

    /** Returns null for bytes that another client wrote. @param array<string, string> $value */
    public static function decode(#[\SensitiveParameter] array $value): ?string
    {
        if (!isset($value['raw'])) return serialize(json_decode($value['json'], true, self::DEPTH + 28));
        $bytes = base64_decode($value['raw'], true);
        return $bytes !== false && str_starts_with($bytes, self::MARK) ? substr($bytes, strlen(self::MARK)) : null;
    }

    private static function json(string $serialized): ?string
    {
        // Objects, enumerations and references.
        if (preg_match('/(?:^|[;{])[OCErR]:/', $serialized) === 1) return null;
        $json = json_encode(@unserialize($serialized, ['allowed_classes' => false]), self::FLAGS, self::DEPTH);
        if ($json === false) return null;
        return serialize(json_decode($json, true, self::DEPTH)) === $serialized ? $json : null;
    }
}
