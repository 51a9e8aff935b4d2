<?php
// A class that has nothing but the deprecated interface: where its text ends can be seen, but not what refers to it.
declare(strict_types=1);

final class OldNote implements Serializable
{
    public function __construct(public string $text)
    {
    }

    public function serialize(): string
    {
        return $this->text;
    }

    public function unserialize(string $data): void
    {
        $this->text = $data;
    }
}
