use http::HeaderMap;
use serde_json::Value;

/// A response. Every expectation fails with the whole exchange, so that one line tells what was wrong.
pub(crate) struct Answer {
    pub(crate) asked: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_else(|_| panic!("{self}: header {name} is not text")))
    }

    #[track_caller]
    pub(crate) fn must_header(&self, name: &str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("{self}: no header {name}, only {:?}", self.headers))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self}: the body is no JSON"))
    }

    #[track_caller]
    pub(crate) fn assert_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// The JSON body of an answer that has this status.
    #[track_caller]
    pub(crate) fn assert_json(self, status: u16) -> Value {
        let answer = self.assert_status(status);
        let content_type = answer.must_header("content-type");
        assert!(content_type.starts_with("application/json"), "{answer}: the body is {content_type}");
        answer.json()
    }

    /// The problem document (RFC 9457) of an answer that has this status and code.
    #[track_caller]
    pub(crate) fn assert_problem(self, status: u16, code: &str) -> Value {
        let problem = self.problem(status);
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }

    /// The problem document of an answer that has this status, whatever its code.
    #[track_caller]
    pub(crate) fn problem(self, status: u16) -> Value {
        let answer = self.assert_status(status);
        let content_type = answer.must_header("content-type");
        assert!(content_type.starts_with("application/problem+json"), "{answer}: the body is {content_type}");
        answer.must_header("x-request-id");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{answer}");
        for field in ["type", "title", "detail", "code"] {
            assert!(
                problem[field].as_str().is_some_and(|text| !text.is_empty()),
                "{answer}: the problem has no {field}"
            );
        }
        let word = problem["code"].as_str().expect("checked above");
        assert!(
            word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit()),
            "{answer}: the code is no machine word"
        );
        problem
    }

    /// The fields that a validation refused, sorted.
    #[track_caller]
    pub(crate) fn invalid_fields(self) -> Vec<String> {
        let problem = self.problem(422);
        let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("a validation without errors: {problem}"));
        let mut fields: Vec<String> = errors
            .iter()
            .map(|error| {
                for part in ["field", "code", "message"] {
                    assert!(error[part].is_string(), "no {part} in {problem}");
                }
                error["field"].as_str().expect("checked above").to_owned()
            })
            .collect();
        fields.sort();
        fields.dedup();
        fields
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = self.text().chars().take(600).collect();
        write!(f, "{} -> {} {body}", self.asked, self.status)
    }
}

/// Looking into a JSON body where a missing part is a failure with the body in its message.
pub(crate) trait Body {
    fn str(&self, field: &str) -> &str;
    fn list(&self, field: &str) -> &[Value];
    fn number(&self, field: &str) -> u64;
}

impl Body for Value {
    #[track_caller]
    fn str(&self, field: &str) -> &str {
        self[field].as_str().unwrap_or_else(|| panic!("no text {field} in {self}"))
    }

    #[track_caller]
    fn list(&self, field: &str) -> &[Value] {
        self[field].as_array().unwrap_or_else(|| panic!("no list {field} in {self}"))
    }

    #[track_caller]
    fn number(&self, field: &str) -> u64 {
        self[field].as_u64().unwrap_or_else(|| panic!("no number {field} in {self}"))
    }
}
