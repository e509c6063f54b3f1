//! A Chromium without a screen, asked by the DevTools protocol: JSON messages that end with a NUL, over the pipes that
//! it has as descriptors 3 and 4.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{BufRead, BufReader, Write, stderr};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::wait_until;

/// A browser takes longer than a server, on a machine that is busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Whether there is a Chromium, without which a test with a page is skipped. Says so once for all of them.
pub fn is_there() -> bool {
    static SAID: Once = Once::new();

    let version = Command::new("chromium").arg("--version").output();
    let is_there = version.is_ok_and(|output| output.status.success());
    if !is_there {
        // Not `eprintln!`, which libtest shows only if a test fails.
        SAID.call_once(|| {
            let _ = stderr().write_all(
                b"SKIPPED: the tests of the page; there is no chromium on the PATH (apt-get install chromium)\n",
            );
        });
    }
    is_there
}

/// A browser with one page. Dropped, it is closed.
pub struct Browser {
    child: Child,
    folder: PathBuf,
    stdin: RefCell<ChildStdin>,
    messages: Receiver<Value>,
    last_id: Cell<u64>,
    session: RefCell<Option<String>>,
    /// What went wrong inside the page, as the browser says it.
    complaints: RefCell<Vec<String>>,
}

impl Browser {
    /// A new browser, with an empty page of this width.
    pub fn start(width: u32) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);

        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("chromium-{}-{number}", std::process::id());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut child = Command::new("sh")
            .args(["-c", r#"exec chromium "$@" 3<&0 4>&1 > /dev/null"#, "sh"])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync"])
            .arg(format!("--user-data-dir={}", folder.display()))
            .args(["--remote-debugging-pipe", "about:blank"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh is there");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in BufReader::new(stdout).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let browser = Self {
            child,
            folder,
            stdin: RefCell::new(stdin),
            messages,
            last_id: Cell::new(0),
            session: RefCell::default(),
            complaints: RefCell::default(),
        };
        browser.attach(width);
        browser
    }

    fn attach(&self, width: u32) {
        let target = self.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.ask("Target.attachToTarget", attach)["sessionId"].clone();
        *self.session.borrow_mut() = session.as_str().map(str::to_owned);
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            self.ask(domain, json!({}));
        }
        let screen =
            json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.ask("Emulation.setDeviceMetricsOverride", screen);
    }

    pub fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        );
    }

    pub fn open(&self, url: &str) {
        self.ask("Page.navigate", json!({ "url": url }));
    }

    /// What the expression is, inside the page.
    pub fn evaluate(&self, expression: &str) -> Value {
        let evaluated = json!({ "expression": expression, "returnByValue": true });
        let outcome = self.ask("Runtime.evaluate", evaluated);
        assert_eq!(outcome["exceptionDetails"], Value::Null, "{expression}");
        outcome["result"]["value"].clone()
    }

    /// The text of the element; empty if there is none.
    pub fn text(&self, selector: &str) -> String {
        let text = self.evaluate(&format!(
            "document.querySelector({selector:?})?.innerText ?? ''"
        ));
        text.as_str().expect("a text").to_owned()
    }

    /// Waits until the element's text fulfils the condition; that text.
    pub fn wait_for(&self, selector: &str, fulfils: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        wait_until(selector, || {
            text = self.text(selector);
            thread::sleep(Duration::from_millis(20));
            fulfils(&text)
        });
        text
    }

    /// Fails if a script threw, or the browser refused to do what the page asked for. That a server is gone is no fault
    /// of the page.
    pub fn assert_no_complaints(&self) {
        let complaints = self.complaints.borrow();
        let of_page = complaints
            .iter()
            .filter(|said| !said.contains("Failed to load resource"));
        assert_eq!(of_page.collect::<Vec<_>>(), Vec::<&String>::new());
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        let id = self.last_id.get() + 1;
        self.last_id.set(id);
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &*self.session.borrow() {
            message["sessionId"] = json!(session);
        }
        let bytes = format!("{message}\0");
        let written = self.stdin.borrow_mut().write_all(bytes.as_bytes());
        written.expect("the browser listens");
        loop {
            let message = self.messages.recv_timeout(ANSWER_TIMEOUT);
            let message = message.expect("the browser answers");
            if message["id"] == id {
                assert_eq!(message["error"], Value::Null, "{method}");
                return message["result"].clone();
            }
            if message["method"] == "Runtime.exceptionThrown"
                || message["method"] == "Log.entryAdded"
            {
                self.complaints
                    .borrow_mut()
                    .push(message["params"].to_string());
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends its other processes when it is closed, and when it notices that this one is gone.
        if !thread::panicking() {
            *self.session.borrow_mut() = None;
            self.ask("Browser.close", json!({}));
        } else {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        // A browser that was killed leaves processes that still write for a moment.
        for _ in 0..100 {
            if fs::remove_dir_all(&self.folder).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
