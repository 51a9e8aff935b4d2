// The cases of the suite that fail on purpose, and what the suite says of them. Anything else that it says is a fault.
// A case that is here and does not fail is a fault too.
export const KNOWN_FAILURES = [
  {
    why: 'each error of the server has a google.rpc.ErrorInfo in its details, and the suite expects none',
    says: [/^actual error contain 1 details; expecting 0$/],
    cases: [
      'Server Message Size/**/request-exceeds-server-limit',
      'Server Message Size/**/first-request-exceeds-server-limit',
      'Server Message Size/**/subsequent-request-exceeds-server-limit',
      'gRPC Unexpected Requests/**/client-stream/incomplete-message',
      'gRPC Unexpected Requests/**/client-stream/incomplete-message-prefix',
      'gRPC Unexpected Requests/**/unexpected-uri',
    ],
  },
  {
    why: 'a message that cannot be read is INVALID_ARGUMENT, whatever is wrong with it, so that INTERNAL is a fault of the server',
    says: [
      /^actual error \{code: 3 \(invalid_argument\), message: ".*"\} does not match expected code (12 \(unimplemented\)|13 \(internal\))$/,
      /^actual error contain 1 details; expecting 0$/,
    ],
    cases: [
      'gRPC Unexpected Requests/**/unary/no-request',
      'gRPC Unexpected Requests/**/server-stream/no-request',
      'gRPC Unexpected Requests/**/unexpected-compressed-message',
    ],
  },
  {
    why: 'tonic does not look for a second message where the RPC has one; nor does the official gRPC of Go, which the suite excuses',
    says: [/^expecting an error but received none$/, /^expecting 0 response messages but instead got 1$/],
    cases: ['gRPC Unexpected Requests/**/unary/multiple-requests', 'gRPC Unexpected Requests/**/server-stream/multiple-requests'],
  },
];
