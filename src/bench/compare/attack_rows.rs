//! What the attacks of all rounds come to.

use serde::Serialize;

use super::attack::{Attack, Attacked};
use super::comparison::Comparison;
use crate::bench::measurement::{ErrorKind, Measurement};
use crate::bench::stats::median;

/// One attack on one target, over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What the attackers did.
    pub attack: Attack,
    /// The index of the target.
    pub target: usize,
    /// Rounds.
    pub rounds: usize,
    /// The rate of the good clients beside the attackers as a share of their rate alone: the
    /// median over rounds, as all figures of which nothing else is said.
    pub good_share: f64,
    /// What the good clients and the prober lost or had answered with an error beside the
    /// attackers, in all rounds.
    pub good_errors: u64,
    /// The prober's median wait alone, in milliseconds.
    pub wait_alone_ms: f64,
    /// The same beside the attackers, of the requests that were answered; `None` if none was
    /// in any round.
    pub wait_ms: Option<f64>,
    /// Requests of the prober that were not answered, or could not be sent, beside the
    /// attackers, in all rounds.
    pub prober_lost: u64,
    /// The longest wait of the prober alone, of all rounds, in milliseconds.
    pub wait_max_alone_ms: f64,
    /// The same beside the attackers, of the requests that were answered.
    pub wait_max_ms: f64,
    /// The most connections that the attackers had.
    pub connections: f64,
    /// Connections of attackers that the server ended.
    pub ended: f64,
    /// Bytes that the attackers sent.
    pub bytes_sent: f64,
    /// Bytes that the attackers read.
    pub bytes_received: f64,
    /// The share of the time that the attackers' thread was on a processor.
    pub attackers_cpu: f64,
    /// The most resident memory of the server before the attack, of all rounds, in bytes.
    pub memory_before_bytes: Option<u64>,
    /// The same until after the attack.
    pub memory_peak_bytes: Option<u64>,
    /// How long a new connection in the middle of the attack took to get its first reply, in
    /// milliseconds; `None` if it got none in a round.
    pub newcomer_ms: Option<f64>,
    /// Rounds in which the server answered a new connection after the attack.
    pub answered_after: usize,
}

/// Every attack on every target, in this order.
pub fn rows(comparison: &Comparison) -> Vec<Row> {
    let mut rows = Vec::new();
    for attack in Attack::ALL {
        for target in 0..comparison.targets.len() {
            let points = comparison.points.iter();
            let of_target = points.filter(|point| point.target == target);
            let found = of_target.filter_map(|point| point.attacked.as_deref());
            let rounds: Vec<_> = found.filter(|found| found.attack == attack).collect();
            rows.extend(row(attack, target, &rounds));
        }
    }
    rows
}

fn row(attack: Attack, target: usize, rounds: &[&Attacked]) -> Option<Row> {
    if rounds.is_empty() {
        return None;
    }
    let figures = |figure: &dyn Fn(&Attacked) -> f64| -> Vec<f64> {
        rounds.iter().map(|round| figure(round)).collect()
    };
    let of = |figure: &dyn Fn(&Attacked) -> f64| median(&figures(figure));
    let most = |figure: &dyn Fn(&Attacked) -> f64| figures(figure).into_iter().fold(0.0, f64::max);
    let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    let probers = || rounds.iter().map(|round| &round.beside.prober);
    let waits: Vec<_> = probers()
        .filter(|prober| prober.operations > 0)
        .map(|prober| ms(prober.latency_ns.p50))
        .collect();
    let newcomers: Option<Vec<f64>> = rounds
        .iter()
        .map(|round| round.newcomer_ns.map(ms))
        .collect();
    let answered = rounds.iter().filter(|round| round.after_ns.is_some());
    Some(Row {
        attack,
        target,
        rounds: rounds.len(),
        good_share: of(&|one| one.beside.clients.rate / one.alone.clients.rate.max(1e-9)),
        good_errors: rounds
            .iter()
            .map(|one| one.beside.clients.errors.total() + one.beside.prober.errors.total())
            .sum(),
        wait_alone_ms: of(&|one| ms(one.alone.prober.latency_ns.p50)),
        wait_ms: (!waits.is_empty()).then(|| median(&waits)),
        prober_lost: probers().map(lost).sum(),
        wait_max_alone_ms: most(&|one| ms(one.alone.prober.latency_ns.max)),
        wait_max_ms: most(&|one| ms(one.beside.prober.latency_ns.max)),
        connections: of(&|one| one.attackers.connections as f64),
        ended: of(&|one| one.attackers.ended as f64),
        bytes_sent: of(&|one| one.attackers.bytes_sent as f64),
        bytes_received: of(&|one| one.attackers.bytes_received as f64),
        attackers_cpu: of(&|one| one.attackers.cpu_seconds / one.attackers.seconds.max(1e-9)),
        memory_before_bytes: rounds
            .iter()
            .filter_map(|one| one.memory_before_bytes)
            .max(),
        memory_peak_bytes: rounds.iter().filter_map(|one| one.memory_peak_bytes).max(),
        newcomer_ms: newcomers.map(|newcomers| median(&newcomers)),
        answered_after: answered.count(),
    })
}

fn lost(prober: &Measurement) -> u64 {
    let lost = prober
        .errors
        .iter()
        .filter(|(kind, _)| *kind == ErrorKind::Lost);
    prober.unsent + lost.map(|(_, errors)| errors.count).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::compare::attack::Good;
    use crate::bench::generator::Spent;
    use crate::bench::measurement::Tally;

    /// Clients that reach such a rate, and a prober that waits so many milliseconds.
    fn good(rate: u64, waits_ms: &[u64]) -> Good {
        let mut clients = Tally::new();
        clients.operations = rate;
        let mut prober = Tally::new();
        prober.operations = waits_ms.len() as u64;
        for ms in waits_ms {
            let recorded = prober.latencies.record(ms * 1_000_000);
            recorded.expect("in bounds");
        }
        Good {
            clients: Measurement::new(clients, 1.0, 1, None, None),
            prober: Measurement::new(prober, 1.0, 1, Some(250.0), None),
        }
    }

    fn attacked(rate: u64, waits_ms: &[u64], bytes_sent: u64, is_answering: bool) -> Attacked {
        Attacked {
            attack: Attack::Huge,
            alone: good(1000, &[1]),
            beside: good(rate, waits_ms),
            attackers: Spent {
                bytes_sent,
                ..Spent::default()
            },
            newcomer_ns: is_answering.then_some(2_000_000),
            after_ns: is_answering.then_some(1_000_000),
            memory_before_bytes: Some(10),
            memory_peak_bytes: Some(bytes_sent),
        }
    }

    #[test]
    fn a_row_has_medians_of_rates_and_bytes_and_the_worst_of_waits_and_memory() {
        let rounds = [
            attacked(500, &[1, 2, 30], 100, true),
            attacked(900, &[1, 4, 5], 300, true),
            attacked(100, &[1, 6, 7], 200, true),
        ];
        let rounds: Vec<_> = rounds.iter().collect();
        let row = row(Attack::Huge, 1, &rounds).expect("there are rounds");
        assert_eq!((row.target, row.rounds, row.good_share), (1, 3, 0.5));
        assert_eq!((row.bytes_sent, row.memory_peak_bytes), (200.0, Some(300)));
        assert!((row.wait_ms.expect("replies") - 4.0).abs() < 0.1, "{row:?}");
        assert!((row.wait_max_ms - 30.0).abs() < 0.1, "{row:?}");
        assert_eq!((row.newcomer_ms, row.answered_after), (Some(2.0), 3));
    }

    #[test]
    fn a_server_that_did_not_answer_is_not_one_that_answered_at_once() {
        let rounds = [attacked(0, &[], 1, false), attacked(0, &[], 1, true)];
        let rounds: Vec<_> = rounds.iter().collect();
        let row = row(Attack::Huge, 0, &rounds).expect("there are rounds");
        assert_eq!((row.wait_ms, row.newcomer_ms), (None, None));
        assert_eq!(row.answered_after, 1);
        assert_eq!(super::row(Attack::Huge, 0, &[]), None);
    }
}
