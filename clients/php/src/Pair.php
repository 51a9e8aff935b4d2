<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/** A member of `$_SESSION`: its key, and its value in the form of `serialize()`. */
final class Pair
{
    /**
     * @param int $start the number of its first value in the text that it was read from
     * @param int $values how many values it has
     * @param list<array{int, int, int}> $references position and length in `$text`, and the number there
     */
    public function __construct(
        public readonly string $key,
        public readonly string $text,
        public readonly int $start = 1,
        public readonly int $values = 0,
        public readonly array $references = [],
    ) {
    }

    /** Whether a value is one of this pair's. */
    public function has(int $number): bool
    {
        return $number >= $this->start && $number < $this->start + $this->values;
    }

    /** Returns the value with other numbers in its references. @param \Closure(int): int $renumber */
    public function renumbered(\Closure $renumber): string
    {
        [$text, $from] = ['', 0];
        foreach ($this->references as [$at, $length, $number]) {
            $text .= substr($this->text, $from, $at - $from) . $renumber($number);
            $from = $at + $length;
        }
        return $text . substr($this->text, $from);
    }
}
