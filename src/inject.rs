//! Panics on demand, to test that they never reach the server. Without the `inject` feature none of
//! this is compiled in.

/// Places where a panic can be injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Point {
    /// In a command.
    Command = 1,
    /// In the command filter.
    Filter,
    /// In the handler of a server event.
    Event,
    /// Where a reply of the engine is read.
    Reply,
    /// On the worker thread.
    Worker,
    /// On the HTTP runtime.
    Http,
}

#[cfg(feature = "inject")]
mod armed {
    use std::sync::atomic::{AtomicU8, Ordering};

    use crate::inject::Point;

    static ARMED: AtomicU8 = AtomicU8::new(0);

    impl Point {
        /// Parses the name that a test passes.
        pub(crate) fn parse(name: &str) -> Option<Self> {
            use Point::{Command, Event, Filter, Http, Reply, Worker};
            let all = [Command, Filter, Event, Reply, Worker, Http];
            all.into_iter().find(|point| format!("{point:?}").eq_ignore_ascii_case(name))
        }
    }

    /// Makes this point panic the next time it is reached.
    pub(crate) fn arm(point: Point) {
        ARMED.store(point as u8, Ordering::SeqCst);
    }

    /// Panics if this point is armed, once.
    pub(crate) fn reached(point: Point) {
        let disarmed = ARMED.compare_exchange(point as u8, 0, Ordering::SeqCst, Ordering::SeqCst);
        assert!(disarmed.is_err(), "injected at {point:?}");
    }
}

#[cfg(feature = "inject")]
pub(crate) use armed::{arm, reached};

/// Does nothing.
#[cfg(not(feature = "inject"))]
pub(crate) fn reached(_: Point) {}
