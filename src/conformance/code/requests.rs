//! The payloads of requests.

pub(super) fn set(key: &str, json: &str) -> String {
    format!(r#"{{"command":"SET","key":"{key}","value":{json}}}"#)
}

pub(super) fn get(key: &str) -> String {
    format!(r#"{{"command":"GET","key":"{key}"}}"#)
}

pub(super) fn del(key: &str) -> String {
    format!(r#"{{"command":"DEL","key":"{key}"}}"#)
}

pub(super) const RST: &str = r#"{"command":"RST"}"#;

/// A GET that finds nothing, and so the shortest question there is.
pub(super) const PING: &str = r#"{"command":"GET","key":"conform-nothing"}"#;
