//! What attackers took from good clients: a table and sentences.

use maud::{Markup, html};

use super::html::tables;
use crate::bench::compare::Comparison;
use crate::bench::compare::attack::Attack;
use crate::bench::compare::attack_rows::{Row, rows};
use crate::bench::figures;
use crate::bench::generator::REPLY_TIMEOUT;

pub(super) const HEADER: [&str; 11] = [
    "attack",
    "target",
    "good rate",
    "median wait, ms (alone)",
    "longest (alone)",
    "sent",
    "read",
    "attackers' CPU",
    "memory peak (before)",
    "new client",
    "afterwards",
];

/// A row for each attack on each target; none if nobody was attacked.
pub(super) fn table(comparison: &Comparison) -> Vec<[String; 11]> {
    let name = |row: &Row| comparison.targets[row.target].name.clone();
    rows(comparison)
        .iter()
        .map(|row| cells(row, name(row)))
        .collect()
}

fn cells(row: &Row, target: String) -> [String; 11] {
    let bytes = |bytes: Option<u64>| {
        bytes.map_or("unknown".to_owned(), |bytes| figures::bytes(bytes as f64))
    };
    let beside = |beside: Option<f64>, alone: f64| {
        let beside = beside.map_or("no reply".to_owned(), figures::three_digits);
        format!("{beside} ({})", figures::three_digits(alone))
    };
    let longest = beside(row.wait_ms.map(|_| row.wait_max_ms), row.wait_max_alone_ms);
    [
        row.attack.name().to_owned(),
        target,
        match row.good_errors {
            0 => percent(row.good_share),
            errors => format!(
                "{}, {}",
                percent(row.good_share),
                figures::counted(errors as usize, "error")
            ),
        },
        beside(row.wait_ms, row.wait_alone_ms),
        match row.prober_lost {
            0 => longest,
            lost => format!("{longest}, {lost} lost"),
        },
        figures::bytes(row.bytes_sent),
        figures::bytes(row.bytes_received),
        percent(row.attackers_cpu),
        format!(
            "{} ({})",
            bytes(row.memory_peak_bytes),
            bytes(row.memory_before_bytes)
        ),
        match row.newcomer_ms {
            Some(ms) => figures::time(ms * 1e6),
            None => format!("not in {} s", REPLY_TIMEOUT.as_secs()),
        },
        match (row.answered_after, row.rounds) {
            (answered, rounds) if answered == rounds => "answers".to_owned(),
            (0, _) => "no answer".to_owned(),
            (answered, rounds) => format!("answers in {answered} of {rounds}"),
        },
    ]
}

/// A few clients in a hundred and a few in a thousand are not the same.
fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent < 9.95 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}

/// What was seen, a sentence for each attack, and what was left out.
pub(super) fn sentences(comparison: &Comparison) -> Vec<String> {
    let rows = rows(comparison);
    let name = |row: &Row| comparison.targets[row.target].name.as_str();
    let mut sentences = Vec::new();
    for attack in Attack::ALL {
        let of_attack = rows.iter().filter(|row| row.attack == attack);
        let each: Vec<_> = of_attack
            .map(|row| format!("{} {}", name(row), percent(row.good_share)))
            .collect();
        if !each.is_empty() {
            sentences.push(format!(
                "Beside {} the good clients keep of their rate: {}.",
                attack.name(),
                each.join(", ")
            ));
        }
    }
    let seconds = REPLY_TIMEOUT.as_secs();
    let answers = |row: &&Row| row.answered_after == row.rounds;
    if !rows.is_empty() && rows.iter().all(|row| answers(&row)) {
        sentences.push(format!(
            "After each attack each server answered a new connection within {seconds} s."
        ));
    }
    let shut_out = rows.iter().filter(|row| row.newcomer_ms.is_none());
    sentences.extend(shut_out.map(|row| {
        let (name, attack) = (name(row), row.attack.name());
        format!(
            "{name} did not answer a connection that was made amid {attack} within {seconds} s."
        )
    }));
    let erroneous = rows.iter().filter(|row| row.good_errors > 0);
    sentences.extend(erroneous.map(|row| {
        format!(
            "Beside {} the good clients of {} had {}.",
            row.attack.name(),
            name(row),
            figures::counted(row.good_errors as usize, "error")
        )
    }));
    let divisor = comparison.plan.strength.divisor;
    if !rows.is_empty() && divisor != 1 {
        sentences.push(format!(
            "The connections and the long values of the attackers were divided by {divisor}."
        ));
    }
    let left_out = comparison.left_out.iter();
    sentences.extend(left_out.map(|sentence| format!("{sentence}.")));
    sentences
}

/// The table as a section of the page; nothing if nobody was attacked.
pub(super) fn section(comparison: &Comparison) -> Markup {
    let rows = table(comparison);
    html! {
        @if !rows.is_empty() {
            h2 { "What attackers take" }
            p {
                "8 good clients and a prober, which sends 250 requests a second, were measured for "
                (format!("{:.1}", comparison.plan.strength.time.as_secs_f64()))
                " s (for huge three times as long) alone and as long beside attackers, who came when the measuring began. Servers, good "
                "clients and attackers share the machine, so a part of what good clients lose is the "
                "processor time of the attackers' one thread, which is told. The rate is a share of that "
                "alone. Figures are medians over rounds; the longest wait and the memory are the most of all rounds. "
                "A new client came in the middle of the attack, and another after it. Attackers read what "
                "the column says; what they left unread is not in it."
            }
            (tables::table(HEADER, &rows))
            ul {
                @for attack in Attack::ALL { li { b { (attack.name()) } ": " (attack.title()) "." } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            attack: Attack::Unread,
            target: 0,
            rounds: 3,
            good_share: 0.934,
            good_errors: 0,
            wait_alone_ms: 0.1,
            wait_ms: Some(0.25),
            prober_lost: 0,
            wait_max_alone_ms: 2.0,
            wait_max_ms: 40.0,
            connections: 16.0,
            ended: 0.0,
            bytes_sent: 2048.0,
            bytes_received: 0.0,
            attackers_cpu: 0.05,
            memory_before_bytes: Some(1 << 20),
            memory_peak_bytes: Some(3 << 20),
            newcomer_ms: Some(1.5),
            answered_after: 3,
        }
    }

    #[test]
    fn a_row_reads_as_what_was_seen() {
        let expected = [
            "unread",
            "epoll",
            "93 %",
            "0.25 (0.10)",
            "40.0 (2.00)",
            "2.00 KiB",
            "0 B",
            "5.0 %",
            "3.00 MiB (1.00 MiB)",
            "1.50 ms",
            "answers",
        ];
        assert_eq!(cells(&row(), "epoll".to_owned()), expected);
    }

    #[test]
    fn what_got_no_answer_has_no_time() {
        let row = Row {
            good_errors: 7,
            wait_ms: None,
            prober_lost: 12,
            memory_peak_bytes: None,
            newcomer_ms: None,
            answered_after: 1,
            ..row()
        };
        let cells = cells(&row, "epoll".to_owned());
        assert_eq!(cells[2], "93 %, 7 errors");
        assert_eq!(cells[3], "no reply (0.10)");
        assert_eq!(cells[4], "no reply (2.00), 12 lost");
        assert_eq!(cells[8], "unknown (1.00 MiB)");
        assert_eq!(cells[9..], ["not in 5 s", "answers in 1 of 3"]);
    }
}
