// The cases of the suite that fail on purpose, and what the suite says of them. Anything else that it says is a fault,
// and so is a case that does not fail, unless it does so only now and then.

const DETAILS = /^(?:; )?actual error contain 1 details; expecting 0$/;
// The suite knows no messages but its own.
const DEBUG = /^connect error JSON: details\[0\]: could not check debug data because message type "google.rpc.ErrorInfo" could not be resolved/;
const code = (actual, expected) => new RegExp(`^(?:; )?actual error \\{code: \\d+ \\(${actual}\\), message: ".*"\\} does not match expected code \\d+ \\(${expected}\\)$`);

export const KNOWN_FAILURES = [
  {
    why: 'each error of the server has a google.rpc.ErrorInfo in its details, and the suite expects none',
    says: [DETAILS, DEBUG],
    cases: [
      'Server Message Size/**/request-exceeds-server-limit',
      'Server Message Size/**/first-request-exceeds-server-limit',
      'Server Message Size/**/subsequent-request-exceeds-server-limit',
      '*/**/client-stream/incomplete-message',
      '*/**/client-stream/incomplete-message-prefix',
      'Connect Unexpected Requests/**/unexpected-compression',
      'gRPC Unexpected Requests/**/unexpected-uri',
    ],
  },
  {
    why: 'the same, if the deadline of the server ends sooner than that of the client, which is the same',
    isFlaky: true,
    says: [DETAILS, DEBUG],
    cases: ['Timeouts/**'],
  },
  {
    why: 'an unknown service is UNIMPLEMENTED with the HTTP status of that code, as an unknown RPC is',
    says: [DETAILS, DEBUG, /^actual HTTP status code does not match: wanted 404; got 501$/],
    cases: ['Connect Unexpected Requests/**/unexpected-uri'],
  },
  {
    why: 'a request of no protocol gets the HTTP status that is expected, and JSON that says what to change, which has a code',
    says: [DETAILS, DEBUG, code('invalid_argument', 'unknown')],
    cases: [
      'Connect Unexpected Requests/**/unexpected-verb',
      'Connect Unexpected Requests/**/unexpected-codec',
      'Unexpected Requests/*/Protocol:PROTOCOL_CONNECT/*/unexpected-content-type',
    ],
  },
  {
    why: 'the same; the client of gRPC does not read the JSON to its end, but the suite does, if it is there in time',
    isFlaky: true,
    says: [DEBUG, /^connect error JSON: unexpected end of JSON input$/],
    cases: [
      'gRPC Unexpected Requests/**/unexpected-verb',
      'gRPC Unexpected Requests/**/unexpected-codec',
      'Unexpected Requests/*/Protocol:PROTOCOL_GRPC/*/unexpected-content-type',
    ],
  },
  {
    why: 'a message that cannot be read is INVALID_ARGUMENT, whatever is wrong with it, so that INTERNAL is a fault of the server',
    says: [DETAILS, DEBUG, code('invalid_argument', 'unimplemented'), code('invalid_argument', 'internal')],
    cases: ['*/**/unary/no-request', '*/**/server-stream/no-request', '*/**/unexpected-compressed-message'],
  },
  {
    why: 'tonic does not look for a second message where the RPC has one; nor does the gRPC of Go, which the suite excuses',
    says: [/^expecting an error but received none$/, /^expecting 0 response messages but instead got 1$/],
    cases: ['*/**/unary/multiple-requests', '*/**/server-stream/multiple-requests'],
  },
];
