//! Nodes that answer as a test says, in the process of the test.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown as Side, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::harness::wait_until;

/// How a node answers one command.
pub enum Answer {
    /// With these bytes.
    Bytes(Vec<u8>),
    /// Not at all, and so it answers nothing that follows.
    Silence,
    /// With these bytes, and then it closes the connection.
    LastBytes(Vec<u8>),
}

/// `None` leaves the answer to the node, which then does what a server does.
type Script = Arc<dyn Fn(&[&str]) -> Option<Answer> + Send + Sync>;

/// A line of its own: `+OK`, `-ERR no`, `:1`.
pub fn line(text: &str) -> Option<Answer> {
    Some(Answer::Bytes(format!("{text}\r\n").into_bytes()))
}

/// An answer that sends to another node: `MOVED` or `ASK`.
pub fn redirection(kind: &str, to: SocketAddr) -> Option<Answer> {
    line(&format!("-{kind} 1 {to}"))
}

/// The script of a node that answers no command with this key.
pub fn silence_for(key: &'static str) -> impl Fn(&[&str]) -> Option<Answer> {
    move |words| words[1..].contains(&key).then_some(Answer::Silence)
}

/// From now on the node answers every command with a key so.
pub fn answer_keys(node: &ScriptedNode, answer: &str) {
    let answer = answer.to_owned();
    node.script(move |words| {
        let has_key = words.iter().any(|word| word.starts_with("speicher:"));
        has_key.then(|| line(&answer)).flatten()
    });
}

/// A node with a few entries. Dropped, it is gone.
pub struct ScriptedNode {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
    /// A connection to itself, which keeps the port from others while nobody
    /// listens there.
    _port: (TcpStream, TcpStream),
}

struct Shared {
    world: Arc<World>,
    script: Mutex<Script>,
    heard: Mutex<Vec<Vec<String>>>,
    connections: Mutex<Vec<TcpStream>>,
    refuses: AtomicBool,
    is_deaf: Mutex<bool>,
    hears_again: Condvar,
}

/// What the nodes of one store share: whichever is asked, it has all entries.
#[derive(Default)]
struct World {
    entries: Mutex<BTreeMap<String, String>>,
    /// How many commands have been executed that change an entry.
    changes: AtomicUsize,
    /// The ports of those that own slots; none if it is no cluster.
    owners: Mutex<Vec<u16>>,
}

impl ScriptedNode {
    /// A server alone.
    pub fn start() -> Self {
        Self::start_in(&Arc::default())
    }

    /// Nodes of one cluster, the first of which owns all slots.
    pub fn cluster<const NODES: usize>() -> [Self; NODES] {
        let world = Arc::default();
        let nodes = [(); NODES].map(|()| Self::start_in(&world));
        nodes[0].give_slots_to(&[&nodes[0]]);
        nodes
    }

    fn start_in(world: &Arc<World>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let knock = TcpStream::connect(address).expect("it listens");
        let (held, _) = listener.accept().expect("nobody else knows the port");
        let node = Self {
            address,
            shared: Arc::new(Shared {
                world: Arc::clone(world),
                script: Mutex::new(Arc::new(|_| None)),
                heard: Mutex::default(),
                connections: Mutex::default(),
                refuses: AtomicBool::new(false),
                is_deaf: Mutex::new(false),
                hears_again: Condvar::new(),
            }),
            acceptor: Mutex::default(),
            _port: (knock, held),
        };
        node.listen(listener);
        node
    }

    /// From now on these nodes own equal parts of the slots.
    pub fn give_slots_to(&self, owners: &[&Self]) {
        let ports = owners.iter().map(|owner| owner.address.port());
        *lock(&self.shared.world.owners) = ports.collect();
    }

    /// It, or the cluster that it belongs to, as `--store` takes it.
    pub fn url(&self) -> String {
        let scheme = match lock(&self.shared.world.owners).is_empty() {
            true => "redis",
            false => "redis-cluster",
        };
        format!("{scheme}://{}", self.address)
    }

    /// From now on it answers what the script says.
    pub fn script(&self, script: impl Fn(&[&str]) -> Option<Answer> + Send + Sync + 'static) {
        *lock(&self.shared.script) = Arc::new(script);
    }

    /// The commands that came so far, but for those that connections begin with.
    pub fn heard(&self) -> Vec<String> {
        let heard = lock(&self.shared.heard);
        let is_work = |words: &&Vec<String>| !matches!(&*words[0], "HELLO" | "CLIENT" | "CLUSTER");
        heard
            .iter()
            .filter(is_work)
            .map(|words| words.join(" "))
            .collect()
    }

    pub fn wait_for(&self, command: &str) {
        wait_until(command, || self.heard().iter().any(|it| it == command));
    }

    /// The value under this key of the store, prefix and all.
    pub fn entry(&self, key: &str) -> Option<String> {
        lock(&self.shared.world.entries).get(key).cloned()
    }

    /// How often it and the others of its cluster have executed what changes an
    /// entry.
    pub fn changes(&self) -> usize {
        self.shared.world.changes.load(Ordering::SeqCst)
    }

    pub fn put(&self, key: &str, value: &str) {
        lock(&self.shared.world.entries).insert(key.to_owned(), value.to_owned());
    }

    /// Closes its connections, and refuses others.
    pub fn refuse(&self) {
        self.shared.refuses.store(true, Ordering::SeqCst);
        if let Some(acceptor) = lock(&self.acceptor).take() {
            // The acceptor sees that it has to end.
            let _ = TcpStream::connect(self.address);
            acceptor.join().expect("no panic");
        }
        self.cut();
    }

    /// Listens again.
    pub fn come_back(&self) {
        self.shared.refuses.store(false, Ordering::SeqCst);
        self.listen(TcpListener::bind(self.address).expect("the port was held"));
    }

    /// Closes its connections.
    pub fn cut(&self) {
        for stream in lock(&self.shared.connections).drain(..) {
            // Fails if the peer was first.
            let _ = stream.shutdown(Side::Both);
        }
    }

    /// Reads nothing until it hears again, but for the command that each
    /// connection waits for already.
    pub fn turn_deaf(&self) {
        *lock(&self.shared.is_deaf) = true;
    }

    pub fn hear_again(&self) {
        *lock(&self.shared.is_deaf) = false;
        self.shared.hears_again.notify_all();
    }

    fn listen(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        *lock(&self.acceptor) = Some(thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.refuses.load(Ordering::SeqCst) {
                    break;
                }
                let stream = stream.expect("a connection");
                stream.set_nodelay(true).expect("a socket");
                let other = stream.try_clone().expect("a descriptor");
                lock(&shared.connections).push(other);
                let shared = Arc::clone(&shared);
                // Fails when the peer or the test has closed the connection.
                thread::spawn(move || shared.serve(stream));
            }
        }));
    }
}

impl Drop for ScriptedNode {
    fn drop(&mut self) {
        self.hear_again();
        self.refuse();
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut input = BufReader::new(stream.try_clone()?);
        let mut is_silent = false;
        loop {
            self.wait_while_deaf();
            let words = read_command(&mut input)?;
            lock(&self.heard).push(words.clone());
            if is_silent {
                continue;
            }
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let script = Arc::clone(&lock(&self.script));
            match script(&words) {
                None => stream.write_all(&self.world.execute(&words))?,
                Some(Answer::Bytes(bytes)) => stream.write_all(&bytes)?,
                Some(Answer::Silence) => is_silent = true,
                Some(Answer::LastBytes(bytes)) => {
                    stream.write_all(&bytes)?;
                    return stream.shutdown(Side::Both);
                }
            }
        }
    }

    fn wait_while_deaf(&self) {
        let is_deaf = lock(&self.is_deaf);
        let heard = self.hears_again.wait_while(is_deaf, |is_deaf| *is_deaf);
        drop(heard.unwrap_or_else(PoisonError::into_inner));
    }
}

impl World {
    /// What a server without replicas answers.
    fn execute(&self, words: &[&str]) -> Vec<u8> {
        let mut entries = lock(&self.entries);
        if matches!(words[0], "SET" | "UNLINK") {
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
        match words {
            ["HELLO", ..] => b"%1\r\n+proto\r\n:3\r\n".to_vec(),
            ["CLUSTER", "SLOTS"] => self.slots().into_bytes(),
            // No slot is on its way.
            ["CLUSTER", "NODES"] => bulk(""),
            ["CLIENT", ..] | ["ASKING"] => b"+OK\r\n".to_vec(),
            ["WAIT", ..] => b":0\r\n".to_vec(),
            ["SET", key, value] => {
                entries.insert((*key).to_owned(), (*value).to_owned());
                b"+OK\r\n".to_vec()
            }
            ["GET", key] => match entries.get(*key) {
                Some(value) => bulk(value),
                None => b"_\r\n".to_vec(),
            },
            ["GETRANGE", key, "0", last] => {
                let value = entries.get(*key).map_or("", String::as_str);
                let len = last.parse::<usize>().expect("a number") + 1;
                bulk(&value[..len.min(value.len())])
            }
            ["STRLEN", key] => {
                let len = entries.get(*key).map_or(0, String::len);
                format!(":{len}\r\n").into_bytes()
            }
            ["UNLINK", key] => {
                let removed = entries.remove(*key).iter().count();
                format!(":{removed}\r\n").into_bytes()
            }
            ["SCAN", ..] => {
                let keys = entries.keys().flat_map(|key| bulk(key));
                let begin = format!("*2\r\n$1\r\n0\r\n*{}\r\n", entries.len());
                begin.into_bytes().into_iter().chain(keys).collect()
            }
            _ => format!("-ERR unknown command {:?}\r\n", words[0]).into_bytes(),
        }
    }

    fn slots(&self) -> String {
        let owners = lock(&self.owners);
        if owners.is_empty() {
            return "-ERR This instance has cluster support disabled\r\n".to_owned();
        }
        let begin = |index: usize| index * 16_384 / owners.len();
        let ranges = owners.iter().enumerate().map(|(index, port)| {
            let (first, last) = (begin(index), begin(index + 1) - 1);
            format!("*3\r\n:{first}\r\n:{last}\r\n*2\r\n$9\r\n127.0.0.1\r\n:{port}\r\n")
        });
        format!("*{}\r\n{}", owners.len(), ranges.collect::<String>())
    }
}

pub fn bulk(text: &str) -> Vec<u8> {
    format!("${}\r\n{text}\r\n", text.len()).into_bytes()
}

/// An array of strings. Fails at the end of the stream.
fn read_command(input: &mut impl BufRead) -> io::Result<Vec<String>> {
    let count = read_len(input, '*')?;
    let words = (0..count).map(|_| {
        let mut bytes = vec![0; read_len(input, '$')? + "\r\n".len()];
        input.read_exact(&mut bytes)?;
        bytes.truncate(bytes.len() - "\r\n".len());
        Ok(String::from_utf8(bytes).expect("requests are UTF-8"))
    });
    words.collect()
}

fn read_len(input: &mut impl BufRead, kind: char) -> io::Result<usize> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let Some(line) = line.strip_suffix("\r\n") else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let len = line.strip_prefix(kind).expect("an array of strings");
    Ok(len.parse().expect("a length"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each is changed whole, and a test that has failed says so itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
