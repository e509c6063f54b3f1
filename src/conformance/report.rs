//! What came of a run, for people and for programs.

mod html;
pub mod human;
mod json;
mod junit;
mod summary;
mod tap;
mod words;

use std::str::FromStr;

use super::record::Report;

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Lines for people, while the cases run.
    #[default]
    Human,
    /// The Test Anything Protocol, version 13.
    Tap,
    /// JUnit's XML, which build servers read.
    Junit,
    /// One JSON object.
    Json,
    /// A page that needs nothing but itself.
    Html,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Human, Self::Tap, Self::Junit, Self::Json, Self::Html];

    /// The format's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Tap => "tap",
            Self::Junit => "junit",
            Self::Json => "json",
            Self::Html => "html",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = |format: &Self| format.name() == name;
        Self::ALL.into_iter().find(known).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no format {name:?}; choose one of {names}")
        })
    }
}

impl Report {
    /// The whole report in the format.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Human => human::report(self),
            Format::Tap => tap::report(self),
            Format::Junit => junit::report(self),
            Format::Json => json::report(self),
            Format::Html => html::report(self),
        }
    }
}
