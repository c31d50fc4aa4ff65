//! What makes it impossible to go on, as text for a report: errors of polling, and panics. A poller, an accept thread or a
//! timer never stops silently.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does `work`. What makes it impossible to go on, panics included, is the error, as it is reported.
///
/// # Errors
/// See above.
///
/// ```
/// use netpoll_core::guard::attempt;
///
/// assert_eq!(attempt(|| Ok(7)), Ok(7));
/// let panicked = attempt::<()>(|| panic!("on purpose"));
/// assert_eq!(panicked, Err("netpoll panicked: on purpose".to_owned()));
/// ```
pub fn attempt<T>(work: impl FnOnce() -> io::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| format!("netpoll cannot poll: {error}")),
        Err(panic) => Err(panicked(&*panic)),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("netpoll panicked: {}", text.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    #[test]
    fn whatever_ends_the_work_is_text() {
        assert_eq!(attempt(|| Ok(7)), Ok(7));
        let refused: Result<(), _> = attempt(|| Err(io::Error::other("refused")));
        assert_eq!(refused, Err("netpoll cannot poll: refused".into()));
        let cases: [(fn(), &str); 3] = [
            (|| panic!("a text"), "a text"),
            (|| panic!("a number: {}", 3), "a number: 3"),
            (|| panic_any(3), "no message"),
        ];
        for (work, message) in cases {
            let failed = attempt(|| {
                work();
                Ok(())
            });
            assert_eq!(failed, Err(format!("netpoll panicked: {message}")));
        }
    }
}
