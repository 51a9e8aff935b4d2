//! What goes wrong in a scripted cluster, and how often.

/// Chances in percent, of a command unless it says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::redis_store::cluster) struct Faults {
    /// That a slot begins to move, that some of its keys move, or all of it.
    pub(in crate::redis_store::cluster) moves: u64,
    /// That it is refused for a reason that passes.
    pub(in crate::redis_store::cluster) refusals: u64,
    /// That a script is refused because too few replicas are there. Not each case has these: the call fails then.
    pub(in crate::redis_store::cluster) missing_replicas: u64,
    /// That the connection is closed, before or after the command is done.
    pub(in crate::redis_store::cluster) closes: u64,
    /// That CLUSTER SLOTS tells what was true before the last change.
    pub(in crate::redis_store::cluster) stale: u64,
    /// That the node forgets its scripts.
    pub(in crate::redis_store::cluster) forgets: u64,
    /// Whether nodes refuse connections for a while.
    pub(in crate::redis_store::cluster) stops: bool,
    /// Whether nodes hang for a while.
    pub(in crate::redis_store::cluster) hangs: bool,
}

impl Faults {
    /// Chooses some. A seed that is a multiple of [`CASES`] has all of them.
    pub(in crate::redis_store::cluster) fn choose(choices: &mut Choices, seed: u64) -> Self {
        let moves = 5 + choices.next() % 40;
        let redirections = Self {
            moves,
            refusals: choices.next() % 20,
            stale: choices.next() % 40,
            forgets: choices.next() % 10,
            ..Self::default()
        };
        let closes = 1 + choices.next() % 3;
        match seed % CASES {
            0 => Self {
                refusals: 10,
                missing_replicas: 5,
                closes: 2,
                stale: 30,
                forgets: 5,
                stops: true,
                hangs: true,
                ..redirections
            },
            1 => redirections,
            2 => Self { missing_replicas: 5, ..redirections },
            3 => Self { closes, ..redirections },
            4 => Self { stops: true, ..Self::default() },
            5 => Self { stops: true, ..redirections },
            6 => Self { hangs: true, ..Self::default() },
            _ => Self { closes, stops: true, ..redirections },
        }
    }

    /// Whether a read may fail: nothing is answered, or twice the connection is closed.
    pub(in crate::redis_store::cluster) const fn may_fail_reads(&self) -> bool {
        self.hangs || self.closes > 0
    }

    /// Whether it may be unknown if a write was done.
    pub(in crate::redis_store::cluster) const fn may_lose_writes(&self) -> bool {
        self.may_fail_reads() || self.stops
    }

    /// Whether a write may fail, done or not.
    pub(in crate::redis_store::cluster) const fn may_fail_writes(&self) -> bool {
        self.may_lose_writes() || self.missing_replicas > 0
    }
}

/// How many different kinds there are.
pub(in crate::redis_store::cluster) const CASES: u64 = 8;

/// Random choices that a seed decides, by `SplitMix64`.
pub(in crate::redis_store::cluster) struct Choices(u64);

impl Choices {
    pub(in crate::redis_store::cluster) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(in crate::redis_store::cluster) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(in crate::redis_store::cluster) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).expect("it fits")).expect("it is below end")
    }

    pub(in crate::redis_store::cluster) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
