<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/**
 * Reads a text in the form of `serialize()` without making objects of it.
 *
 * Such a text numbers its values from 1, and `r:3;` or `R:3;` stands for the third one again. The scanner counts them
 * as PHP does, and notes where such references stand.
 */
final class Scanner
{
    /** How many values have been read. */
    public int $values = 0;
    /** Each a position and a length in the text, and the number that stands there. @var list<array{int, int, int}> */
    public array $references = [];

    public function __construct(private readonly string $text, public int $at = 0)
    {
    }

    public function isAtEnd(): bool
    {
        return $this->at >= strlen($this->text);
    }

    /** Reads one value with all that is in it. */
    public function value(): void
    {
        $type = $this->text[$this->at] ?? '';
        // A reference of this kind is not counted again.
        if ($type !== 'R') $this->values++;
        match ($type) {
            'N' => $this->expect('N;'),
            'b', 'i', 'd' => $this->scalar(),
            's', 'E' => $this->closed(),
            'a' => $this->members(),
            'O' => $this->object(),
            'r', 'R' => $this->reference(),
            default => throw new NotSplittable("an unknown type at byte $this->at"),
        };
    }

    /** Reads the key of an array or of an object. */
    public function key(): string
    {
        if (($this->text[$this->at] ?? '') === 's') return $this->closed();
        $from = $this->at;
        $this->scalar();
        return substr($this->text, $from + 2, $this->at - $from - 3);
    }

    /** Reads the beginning of an array, and returns how many members it has. */
    public function arrayStart(): int
    {
        $this->expect('a:');
        $count = $this->number();
        $this->expect(':{');
        return $count;
    }

    /** Reads all up to a delimiter, and the delimiter. */
    public function until(string $delimiter): string
    {
        $end = strpos($this->text, $delimiter, $this->at);
        if ($end === false) throw new NotSplittable("no $delimiter after byte $this->at");
        $found = substr($this->text, $this->at, $end - $this->at);
        $this->at = $end + 1;
        return $found;
    }

    /** Reads this text. */
    public function expect(string $text): void
    {
        if (!$this->skip($text)) throw new NotSplittable("no $text at byte $this->at");
    }

    /** Reads this text if it is here. */
    public function skip(string $text): bool
    {
        $isHere = substr_compare($this->text, $text, min($this->at, strlen($this->text)), strlen($text)) === 0;
        if ($isHere) $this->at += strlen($text);
        return $isHere;
    }

    private function scalar(): void
    {
        $this->until(';');
    }

    private function closed(): string
    {
        $text = $this->quoted();
        $this->expect(';');
        return $text;
    }

    /** Reads a type, a length, and as many bytes in quotes. */
    private function quoted(): string
    {
        $this->at += 2;
        $length = $this->number();
        $this->expect(':"');
        $text = substr($this->text, $this->at, $length);
        $this->at += $length;
        $this->expect('"');
        return $text;
    }

    private function object(): void
    {
        $this->quoted();
        $this->expect(':');
        $this->membersOf($this->number());
    }

    private function members(): void
    {
        $this->at += 2;
        $this->membersOf($this->number());
    }

    private function membersOf(int $count): void
    {
        $this->expect(':{');
        for (; $count > 0; $count--) {
            $this->key();
            $this->value();
        }
        $this->expect('}');
    }

    private function reference(): void
    {
        $this->at += 2;
        $from = $this->at;
        $number = $this->number();
        $this->references[] = [$from, $this->at - $from, $number];
        $this->expect(';');
    }

    private function number(): int
    {
        $length = strspn($this->text, '0123456789', $this->at);
        if ($length < 1 || $length > 18) throw new NotSplittable("no number at byte $this->at");
        $number = (int) substr($this->text, $this->at, $length);
        $this->at += $length;
        return $number;
    }
}
