<?php
declare(strict_types=1);

namespace Cloakroom\Session;

/** The service has refused a call, and a repeat does not help. The message says what to change. */
class ServiceError extends \RuntimeException
{
    /** @param string $reason the reason in UPPER_SNAKE, or an empty text if no service has answered */
    public function __construct(string $message, public readonly string $reason = '')
    {
        parent::__construct($message);
    }
}
