//! What the server answers an agent.

use serde::{Deserialize, Serialize};

/// The answer to a report that is on disk. Fields unknown to this version are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Rows that are stored.
    pub accepted: u32,
    /// Rows that are not; [`Ack::faults`] says why.
    pub rejected: u32,
    /// The first [`FAULTS_MAX`](crate::bounds::FAULTS_MAX) faults.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// How often the server would like a report, in seconds.
    #[serde(default)]
    pub interval_s: u32,
    /// Whether somebody is looking at this device right now.
    #[serde(default)]
    pub live: bool,
}

/// One thing in a report that could not be taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Which row of the report, counted from 0; none when it is not about a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u32>,
    /// Which metric or field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong, for programs.
    pub code: String,
    /// What is wrong, for people.
    pub message: String,
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What an [`ErrorBody`] says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// What is wrong, for programs: `snake_case`.
    pub code: String,
    /// What is wrong, for people: one sentence.
    pub message: String,
    /// Which field of the request, where one is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_needs_its_counts_and_ignores_what_it_does_not_know() {
        let ack: Ack =
            serde_json::from_str(r#"{"accepted":3,"rejected":1,"run":"rm -rf","live":true}"#).unwrap();
        assert_eq!(ack, Ack { accepted: 3, rejected: 1, live: true, ..Ack::default() });
        // A portal that answers 200 to everything must not look like an acknowledgement.
        assert!(serde_json::from_str::<Ack>(r#"{"status":"ok"}"#).is_err());
    }

    #[test]
    fn answers_read_back() {
        let fault = Fault { row: Some(2), field: None, code: "name".into(), message: "…".into() };
        let ack = Ack { accepted: 1, rejected: 1, faults: vec![fault], interval_s: 10, live: false };
        assert_eq!(serde_json::from_str::<Ack>(&serde_json::to_string(&ack).unwrap()).unwrap(), ack);
        let body = ErrorBody { error: ErrorDetail { code: "a".into(), message: "b".into(), field: None } };
        assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"error":{"code":"a","message":"b"}}"#);
    }
}
