<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/** A clock that nobody sets. */
final class Clock
{
    /** Milliseconds since some time. */
    public static function now(): float
    {
        return hrtime(true) / 1e6;
    }
}
