//! Django's formats: what the real Django has written, and what a random one could.

mod random_sessions;
mod vectors;
