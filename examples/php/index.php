<?php
// A counter: opens the session by the Cookie header, saves the change, and sends the headers that the service returns.
define('SERVICE', 'http://' . (getenv('CLOAKROOM_ADDRESS') ?: '127.0.0.1:50051') . '/cloakroom.v1.SessionService/');
const TEMPORARY = [0, 429, 503, 504]; // 0: no answer.

function call(string $method, array $request): array
{
    static $curl = null; // One connection for all calls of this request.
    curl_setopt_array($curl ??= curl_init(), [
        CURLOPT_URL => SERVICE . $method, CURLOPT_POSTFIELDS => json_encode($request),
        CURLOPT_HTTPHEADER => ['content-type: application/json', 'connect-timeout-ms: 2000'],
        CURLOPT_TIMEOUT_MS => 2500,
        CURLOPT_PROXY => '', // None, because calls carry tokens.
        CURLOPT_RETURNTRANSFER => true,
    ]);
    foreach ([1, 2] as $attempt) { // The second one sends the same requestId, so the save is made once.
        $answer = curl_exec($curl);
        $status = $answer === false ? 0 : curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        if ($status === 200) return json_decode($answer, true);
        if ($attempt === 2 || !in_array($status, TEMPORARY)) throw new Exception($answer ?: curl_error($curl), $status);
        usleep(200_000);
    }
}

try {
    $opened = call('OpenSession', ['cookieHeader' => iconv('latin1', 'utf-8', $_SERVER['HTTP_COOKIE'] ?? '')]);
    [$count, $headers] = [$opened['session']['entries']['count']['json'] ?? 0, $opened['readHeaders'] ?? []];
    if ($_SERVER['REQUEST_METHOD'] === 'POST') {
        $save = ['token' => $opened['session']['token'] ?? '', 'cookieOutdated' => $opened['cookieOutdated'] ?? false,
            'accessed' => true, 'requestId' => bin2hex(random_bytes(16)), 'changes' => ['increment' => ['count' => 1]]];
        $saved = call('SaveSession', $save);
        if ($saved['outcome'] === 'OUTCOME_GONE') http_response_code(409); // The session has ended.
        [$count, $headers] = [$saved['counters']['count'] ?? 0, $saved['headers'] ?? []];
    }
    foreach ($headers as $header) header("$header[name]: $header[value]", false);
    echo "<output id=\"count\">$count</output> <form method=\"post\"><button>Count</button></form>";
} catch (Exception $error) {
    http_response_code(in_array($error->getCode(), TEMPORARY) ? 503 : ($error->getCode() === 400 ? 400 : 500));
    error_log($error->getMessage());
}
