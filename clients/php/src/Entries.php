<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/**
 * Splits the text of a session, as PHP encodes `$_SESSION`, into entries, and joins entries to such a text.
 *
 * Each member is an entry: its name is the key, and its value a text in the form of `serialize()`. No objects are made.
 * Members that refer to each other cannot be apart, so they are one entry together. A text that cannot be split is one
 * entry as it is.
 */
final class Entries
{
    /** The entry of the members that refer to each other, or whose key cannot be a name, as an array. */
    public const LINKED = 'php:linked';
    /** The entry that has the whole text. */
    public const WHOLE = 'php:session';
    /** The member that names the subject of the session. */
    public const SUBJECT = 'php:subject';
    /** No name of another member begins with it. */
    private const RESERVED = 'php:';
    private const LONGEST_NAME = 256;
    /** The text of a session without members in the format `igbinary`. Those of the other formats need no check. */
    private const EMPTY_IGBINARY = "\0\0\0\2\x14\0";

    /** @param string $format the setting `session.serialize_handler` */
    public function __construct(private readonly string $format)
    {
    }

    /**
     * Splits a text. What stands in it unchanged is found without reading it.
     *
     * @param array<array-key, string> $known entries that the text may have, by name
     * @return array<array-key, string>
     */
    public function split(#[\SensitiveParameter] string $text, #[\SensitiveParameter] array $known = []): array
    {
        if ($text === '' || $text === self::EMPTY_IGBINARY) return [];
        $refers = preg_match('/[;|][rR]:\d/', $text) === 1;
        try {
            $pairs = $this->pairs($text, $refers ? [] : $known);
            return self::entries($pairs, $refers ? self::linked($pairs) : []);
        } catch (NotSplittable) {
            return [self::WHOLE => $text];
        }
    }

    /** Joins entries. Those that the format cannot hold are left out. @param array<array-key, string> $entries */
    public function join(#[\SensitiveParameter] array $entries): string
    {
        if (isset($entries[self::WHOLE])) return $entries[self::WHOLE];
        $referring = array_filter($entries, static fn (string $text) => preg_match('/;[rR]:\d/', $text) === 1);
        // Those come first, so that nobody has to count the values of the others.
        [$text, $count] = $this->joinReferring($referring);
        foreach (array_diff_key($entries, $referring) as $name => $value) {
            foreach (self::membersOf((string) $name, $value) as $pair) {
                $text .= $this->member($pair->key, $pair->text);
                $count++;
            }
        }
        return $this->format === 'php' ? $text : "a:$count:{{$text}}";
    }

    /** Whether an entry can be a member in this format. */
    public function canHold(string $name): bool
    {
        if (in_array($name, [self::WHOLE, self::LINKED, self::SUBJECT], true)) return true;
        if (str_starts_with($name, self::RESERVED)) return false;
        return match ($this->format) {
            'php' => !str_contains($name, '|') && !self::isInteger($name),
            'php_serialize' => true,
            default => false,
        };
    }

    /** @param array<array-key, string> $entries @return array{string, int} a text and the number of its members */
    private function joinReferring(array $entries): array
    {
        [$text, $count, $next] = ['', 0, $this->firstNumber()];
        // A member that is an entry of its own as well was saved later, and the last one counts.
        if (isset($entries[self::LINKED])) $entries = [self::LINKED => $entries[self::LINKED]] + $entries;
        foreach ($entries as $name => $value) {
            foreach (self::membersOf((string) $name, $value) as $pair) {
                $shift = $next - $pair->start;
                // All members of one entry move together.
                $text .= $this->member($pair->key, $pair->renumbered(static fn (int $number) => $number + $shift));
                $next += $pair->values;
                $count++;
            }
        }
        return [$text, $count];
    }

    /** @return list<Pair> */
    private static function membersOf(string $name, string $text): array
    {
        if ($name === self::LINKED) return (new self('php_serialize'))->pairs($text, []);
        if (preg_match('/;[rR]:\d/', $text) !== 1) return [new Pair($name, $text)];
        $scanner = new Scanner($text);
        $scanner->value();
        return [new Pair($name, $text, 1, $scanner->values, $scanner->references)];
    }

    private function member(string $key, string $value): string
    {
        if ($this->format === 'php') return "$key|$value";
        return (self::isInteger($key) ? "i:$key;" : 's:' . strlen($key) . ":\"$key\";") . $value;
    }

    /** The number that the first value of the first member has: the array of `php_serialize` is a value itself. */
    private function firstNumber(): int
    {
        return $this->format === 'php' ? 1 : 2;
    }

    /** @param array<array-key, string> $known @return list<Pair> */
    private function pairs(string $text, array $known): array
    {
        $scanner = new Scanner($text);
        return match ($this->format) {
            'php' => $this->pairsUntilEnd($scanner, $text, $known),
            'php_serialize' => $this->pairsOfArray($scanner, $text, $known),
            default => throw new NotSplittable("an unknown format: $this->format"),
        };
    }

    /** @param array<array-key, string> $known @return list<Pair> */
    private function pairsUntilEnd(Scanner $scanner, string $text, array $known): array
    {
        $pairs = [];
        while (!$scanner->isAtEnd()) $pairs[] = $this->pair($scanner, $text, $scanner->until('|'), $known);
        return $pairs;
    }

    /** @param array<array-key, string> $known @return list<Pair> */
    private function pairsOfArray(Scanner $scanner, string $text, array $known): array
    {
        $pairs = [];
        for ($left = $scanner->arrayStart(); $left > 0; $left--) {
            $pairs[] = $this->pair($scanner, $text, $scanner->key(), $known);
        }
        $scanner->expect('}');
        if (!$scanner->isAtEnd()) throw new NotSplittable("more text after byte $scanner->at");
        return $pairs;
    }

    /** @param array<array-key, string> $known */
    private function pair(Scanner $scanner, string $text, string $key, array $known): Pair
    {
        // A value says itself where it ends, so a text that begins with it has it.
        if (isset($known[$key]) && $scanner->skip($known[$key])) return new Pair($key, $known[$key]);
        [$from, $values, $references] = [$scanner->at, $scanner->values, count($scanner->references)];
        $scanner->value();
        $found = array_map(
            static fn (array $reference) => [$reference[0] - $from, $reference[1], $reference[2]],
            array_slice($scanner->references, $references),
        );
        $start = $this->firstNumber() + $values;
        return new Pair($key, substr($text, $from, $scanner->at - $from), $start, $scanner->values - $values, $found);
    }

    /** @param list<Pair> $pairs @param array<array-key, true> $linked @return array<array-key, string> */
    private static function entries(array $pairs, array $linked): array
    {
        [$entries, $together] = [[], []];
        foreach ($pairs as $at => $pair) {
            if (isset($linked[$at]) || !self::isName($pair->key)) $together[] = $pair;
            else $entries[$pair->key] = $pair->renumbered(static fn (int $number) => $number - $pair->start + 1);
        }
        if ($together !== []) $entries[self::LINKED] = self::together($together);
        return $entries;
    }

    /** Returns the places of the pairs that refer to another one, or are referred to. @param list<Pair> $pairs
     * @return array<array-key, true> */
    private static function linked(array $pairs): array
    {
        $linked = [];
        foreach ($pairs as $at => $pair) {
            foreach ($pair->references as [, , $number]) {
                if ($pair->has($number)) continue;
                $linked[$at] = $linked[self::owner($pairs, $number)] = true;
            }
        }
        return $linked;
    }

    /** Returns the place of the pair that has a value. @param list<Pair> $pairs */
    private static function owner(array $pairs, int $number): int
    {
        foreach ($pairs as $at => $pair) {
            if ($pair->has($number)) return $at;
        }
        throw new NotSplittable("a reference to the whole session");
    }

    /** Returns pairs as the text of an array. @param non-empty-list<Pair> $pairs */
    private static function together(array $pairs): string
    {
        $starts = [];
        $next = 2;
        foreach ($pairs as $at => $pair) {
            $starts[$at] = $next;
            $next += $pair->values;
        }
        $renumber = static function (int $number) use ($pairs, $starts): int {
            $owner = self::owner($pairs, $number);
            return $number - $pairs[$owner]->start + $starts[$owner];
        };
        $array = new self('php_serialize');
        $members = array_map(static fn (Pair $pair) => $array->member($pair->key, $pair->renumbered($renumber)), $pairs);
        return 'a:' . count($pairs) . ':{' . implode('', $members) . '}';
    }

    /** Whether the service takes it as the name of an entry that means nothing else. */
    private static function isName(string $key): bool
    {
        if ($key === self::SUBJECT) return true;
        // PHP leaves a name that begins with a zero byte out of JSON.
        return $key !== '' && $key[0] !== "\0" && strlen($key) <= self::LONGEST_NAME && $key !== '_permanent'
            && !str_starts_with($key, self::RESERVED) && preg_match('//u', $key) === 1;
    }

    /** Whether PHP makes an integer of this key. */
    private static function isInteger(string $key): bool
    {
        return (string) (int) $key === $key;
    }
}
