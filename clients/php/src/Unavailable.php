<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/** The service has not answered within the deadline, or cannot do so now. A later call may succeed. */
final class Unavailable extends ServiceError
{
}
