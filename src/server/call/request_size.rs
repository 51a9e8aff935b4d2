//! The size of a request, as far as it is known: what it takes of the budget for large requests, and its limit.

use super::frame_lengths::{FrameLengths, LARGE};
use crate::connect::Protocol;
use crate::grpc::{self, Rejection};

/// How the size of a request becomes known.
#[derive(Debug)]
pub(super) enum RequestSize {
    /// Each message begins with its length.
    Framed(FrameLengths),
    /// The body is one message.
    Whole { max: usize, declared: Option<u64>, paid: usize },
}

impl RequestSize {
    /// Begins a request to the RPC of this path. `declared`: its `content-length`.
    pub(super) fn new(protocol: Option<Protocol>, path: &str, declared: Option<u64>) -> Self {
        match protocol {
            Some(Protocol::Grpc | Protocol::ConnectStream(_)) => Self::Framed(FrameLengths::default()),
            Some(Protocol::ConnectUnary(_) | Protocol::ForwardAuth | Protocol::ExtAuthz) | None => {
                Self::Whole { max: grpc::max_request_bytes(path), declared, paid: 0 }
            }
        }
    }

    /// Checks the size that the headers declare.
    pub(super) fn check(&self) -> Result<(), Rejection> {
        match *self {
            Self::Whole { max, declared: Some(declared), .. } if declared > max as u64 => Err(too_large(declared, max)),
            _ => Ok(()),
        }
    }

    /// Returns how many bytes are still to come at least, as far as the messages themselves say it.
    pub(super) const fn announced(&self) -> usize {
        match self {
            Self::Framed(lengths) => lengths.remaining(),
            Self::Whole { .. } => 0,
        }
    }

    /// Reads the next bytes; returns how many bytes of the budget they take. `received` includes them.
    pub(super) fn read(&mut self, data: &[u8], received: usize) -> Result<u32, Rejection> {
        match self {
            Self::Framed(lengths) => Ok(lengths.read(data)),
            Self::Whole { max, .. } if received > *max => Err(too_large(received as u64, *max)),
            Self::Whole { max, declared, paid } => {
                let declared = declared.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
                // Without a declared length it is paid in steps, so that not each piece takes a lock.
                let steps = received.next_multiple_of(STEP).min(*max);
                let due = if declared >= received { declared } else { steps };
                if !LARGE.contains(&due) || due <= *paid || received < *LARGE.start() && declared < received {
                    return Ok(0);
                }
                let large = u32::try_from(due - *paid).unwrap_or(u32::MAX);
                *paid = due;
                Ok(large)
            }
        }
    }
}

fn too_large(bytes: u64, max: usize) -> Rejection {
    Rejection::RequestTooLarge(format!("the request has at least {bytes} bytes; the limit is {max}"))
}

const STEP: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Codec;

    const OPEN: &str = "/cloakroom.v1.SessionService/OpenSession";

    fn whole(path: &str, declared: Option<u64>) -> RequestSize {
        RequestSize::new(Some(Protocol::ConnectUnary(Codec::Json)), path, declared)
    }

    fn paid(size: &mut RequestSize, bytes: usize, piece: usize) -> u32 {
        let mut received = 0;
        let mut paid = 0;
        while received < bytes {
            let piece = piece.min(bytes - received);
            received += piece;
            paid += size.read(&vec![0; piece], received).unwrap();
        }
        paid
    }

    #[test]
    fn a_body_of_a_declared_length_is_paid_at_its_first_byte() {
        assert_eq!(whole(OPEN, Some(200_000)).read(&[0], 1), Ok(200_000));
        assert_eq!(paid(&mut whole(OPEN, Some(200_000)), 200_000, 1000), 200_000);
        assert_eq!(paid(&mut whole(OPEN, Some(65_536)), 65_536, 1000), 0);
    }

    #[test]
    fn a_chunked_body_is_paid_in_steps_once_it_is_large() {
        assert_eq!(paid(&mut whole(OPEN, None), 65_536, 1000), 0);
        assert_eq!(paid(&mut whole(OPEN, None), 65_537, 1000), 131_072);
        assert_eq!(paid(&mut whole(OPEN, None), 200_000, 7), 262_144);
        assert_eq!(paid(&mut whole(OPEN, None), 4 << 20, 65_536), 4 << 20);
    }

    #[test]
    fn a_body_above_the_limit_is_refused_by_its_declared_length_or_at_the_limit() {
        assert!(whole(OPEN, Some((4 << 20) + 1)).check().is_err());
        assert!(whole(OPEN, Some(4 << 20)).check().is_ok());
        assert!(whole(OPEN, None).read(&[0], (4 << 20) + 1).is_err());
        assert!(whole("/grpc.health.v1.Health/Check", None).read(&[0], 4097).is_err());
        assert!(whole("/grpc.health.v1.Health/Check", Some(4097)).check().is_err());
    }
}
