//! When to retry, and how long to wait before.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;

/// Exponential backoff with jitter, limited by a total time.
#[derive(Debug)]
pub(crate) struct Backoff {
    tries: u32,
    until: Instant,
}

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// The longest `Retry-After` that is honoured.
const MOST_ASKED: Duration = Duration::from_secs(300);

impl Backoff {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { tries: 0, until: Instant::now() + patience }
    }

    /// Returns the number of failures so far.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// Returns the time left for retries.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Returns the time to wait before the next attempt, or `None` if the time is used up. `asked`: the wait that the service
    /// asked for, which does not count against the total.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let most = FIRST.saturating_mul(1 << self.tries.min(10)).min(LONGEST);
        self.tries += 1;
        let random = most.mul_f64(0.5 + fastrand::f64() / 2.0);
        if let Some(asked) = asked {
            // Spread the clients that were asked to wait.
            self.until += asked;
            return (asked <= MOST_ASKED && Instant::now() <= self.until)
                .then(|| asked + random.min(asked / 4 + FIRST));
        }
        (Instant::now() + random <= self.until).then_some(random)
    }
}

/// Parses `Retry-After`: seconds or a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO))
}

/// Holds back all requests after the service has asked one of them to wait.
#[derive(Debug, Default)]
pub(crate) struct RetryGate(Mutex<Option<Instant>>);

impl RetryGate {
    pub(crate) fn close(&self, time: Duration) {
        let until = Instant::now() + time.min(MOST_ASKED);
        let mut gate = self.0.lock().expect("no panic while it is held");
        if gate.is_none_or(|known| known < until) {
            *gate = Some(until);
        }
    }

    pub(crate) async fn pass(&self) {
        loop {
            let until = *self.0.lock().expect("no panic while it is held");
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None | Some(Duration::ZERO) => return,
                Some(left) => tokio::time::sleep(left).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_at_random_and_end_with_the_patience() {
        let mut backoff = Backoff::new(Duration::from_secs(3600));
        for tries in 0..12 {
            let most = FIRST.saturating_mul(1 << tries.min(10)).min(LONGEST);
            let wait = backoff.next(None).expect("an hour is long");
            assert!(wait <= most && wait >= most / 2, "{tries}: {wait:?}");
        }
        assert_eq!(Backoff::new(Duration::from_millis(50)).next(None), None);
    }

    #[test]
    fn what_the_service_asks_for_is_the_least_unless_it_is_absurd() {
        let asked = Duration::from_secs(7);
        let wait = Backoff::new(Duration::ZERO).next(Some(asked)).expect("asked");
        assert!(wait >= asked && wait < asked * 2, "{wait:?}");
        assert_eq!(Backoff::new(Duration::ZERO).next(Some(Duration::from_secs(86_400))), None);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        assert!(of(&later).is_some_and(|time| time > Duration::from_secs(57)));
        assert_eq!(of("soon"), None);
    }
}
