<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/** A serialized text has a part that cannot be read without making objects of it, or is no such text. */
final class NotSplittable extends \RuntimeException
{
}
