//! Requests: the body of a frame turned into one of a closed set of commands, or a rejection with a code.
//!
//! Wrong text is refused, not interpreted; a name that nobody bears is no error here, the daemon knows its names.

use super::condition::Condition;
use super::json::{self, Fields, JsonError};
use super::occurrence::EventQuery;
use super::reply::{ErrorCode, Reply};
use super::text;
pub use super::verb::{LogDeed, SignalOrder, Verb};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// The longest id, as JSON text, that is carried back.
const MAX_ID: usize = 200;

const FIELDS: &[&str] = &[
    "conditions",
    "timeout_ms",
    "signal",
    "leader",
    "id",
    "command",
    "name",
    "force",
    "names",
    "offset",
    "limit",
    "verbose",
    "stream",
    "bytes",
    "lines",
    "follow",
    "progress",
    "since",
];

/// A client's mark on its request, carried back in the reply as the JSON text it was: a string or a number.
#[derive(Debug, Clone)]
pub struct Id(Box<RawValue>);

impl Id {
    /// The JSON text.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    pub(super) fn raw(&self) -> &RawValue {
        &self.0
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Id) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Id {}

/// A request, and the mark its reply is to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `None`: the reply carries none.
    pub id: Option<Id>,
    /// Whether to tell how far it has come while it is under way.
    pub progress: bool,
    /// What is asked.
    pub request: Request,
}

/// What can be asked. A `name` that was not given is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// What is the state of things?
    Status(StatusQuery),
    /// Start a process.
    Start {
        /// Which.
        name: String,
    },
    /// Stop a process.
    Stop {
        /// Which.
        name: String,
    },
    /// Stop a process and start it again.
    Restart {
        /// Which.
        name: String,
        /// With SIGKILL.
        force: bool,
    },
    /// The same of several, by names and patterns.
    Many {
        /// What to do.
        verb: Verb,
        /// Names, globs, `group:NAME` or `all`.
        names: Vec<String>,
    },
    /// Start all of a group.
    StartGroup {
        /// Which.
        name: String,
    },
    /// Stop all of a group.
    StopGroup {
        /// Which.
        name: String,
    },
    /// Read the configuration again.
    Reload,
    /// What would a reload do?
    DryReload,
    /// Read the configuration again, and restart what is other by it.
    Update {
        /// Restart only these: names, globs, `group:NAME` or `all`.
        names: Option<Vec<String>>,
    },
    /// Open all log files anew.
    Reopen,
    /// Rotate or empty the logs of a process.
    TreatLogs {
        /// What to do.
        deed: LogDeed,
        /// Which.
        name: String,
    },
    /// The same of several, by names and patterns.
    TreatManyLogs {
        /// What to do.
        deed: LogDeed,
        /// Names, globs, `group:NAME` or `all`.
        names: Vec<String>,
    },
    /// Show the end of a log of a process.
    Tail {
        /// Which.
        name: String,
        /// Which log.
        stream: Stream,
        /// How much.
        query: TailQuery,
    },
    /// Show the end of the daemon's own log.
    MainTail(TailQuery),
    /// Answer when all of these hold.
    Wait {
        /// What is waited for.
        conditions: Vec<Condition>,
        /// `None`: for as long as it takes.
        timeout_ms: Option<u64>,
    },
    /// Send a signal.
    Signal(SignalOrder),
    /// What led a process to where it is?
    Why {
        /// Which.
        name: String,
    },
    /// How is a process configured?
    Describe {
        /// Which.
        name: String,
    },
    /// What happened to all processes?
    Events(EventQuery),
    /// Every number there is.
    Metrics,
    /// What is there to say about the daemon itself?
    Info,
    /// Stop everything, and the daemon.
    Shutdown,
}

/// One of the two streams of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stream {
    /// Descriptor 1.
    #[default]
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl Stream {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }

    /// The stream of a word.
    pub fn from_name(name: &str) -> Option<Stream> {
        [Stream::Stdout, Stream::Stderr].into_iter().find(|stream| stream.name() == name)
    }
}

/// How much of the end of a log is wanted; by default ten lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TailQuery {
    /// At most so many bytes.
    pub bytes: Option<u64>,
    /// At most so many lines.
    pub lines: Option<u64>,
    /// And everything that comes after it.
    pub follow: bool,
}

/// Which rows of the status are wanted; by default all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusQuery {
    /// Only these.
    pub names: Option<Vec<String>>,
    /// Skip so many of them.
    pub offset: usize,
    /// At most so many.
    pub limit: Option<usize>,
    /// With every key there is.
    pub verbose: bool,
}

/// A frame that is no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The mark of the request, as far as it could be read.
    pub id: Option<Id>,
    /// Of which kind.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

impl Rejection {
    /// The reply that tells it.
    pub fn reply(&self) -> Reply {
        Reply::error(self.code, self.message.clone(), None)
    }
}

/// Reads the body of a frame.
pub fn decode(frame: &[u8]) -> Result<Envelope, Rejection> {
    if frame.is_empty() {
        return Err(Rejection { id: None, code: ErrorCode::EmptyRequest, message: "Empty request".to_owned() });
    }
    let mut found = Fields::new();
    let read = json::read_object(frame, FIELDS, &mut found);
    let fields = Found(found);
    let id = fields.id();
    let rejection = |(code, message): Refusal| Rejection { id: id.clone().unwrap_or_default(), code, message };
    read.map_err(|error| rejection(refusal(error)))?;
    let request = id.as_ref().map_err(Clone::clone).and_then(|_| fields.request()).map_err(rejection)?;
    let progress = fields.value("progress", "true or false").map_err(rejection)?.unwrap_or_default();
    Ok(Envelope { id: id.unwrap_or_default(), progress, request })
}

type Refusal = (ErrorCode, String);

fn refusal(error: JsonError) -> Refusal {
    match error {
        JsonError::Invalid(why) => (ErrorCode::InvalidJson, format!("Invalid JSON: {why}")),
        JsonError::NotAnObject => (ErrorCode::InvalidRequest, "Request must be a JSON object".to_owned()),
    }
}

/// The known fields of a request, each still as valid JSON text.
struct Found<'de>(Fields<'de>);

impl Found<'_> {
    /// `null` counts as not given.
    fn raw(&self, field: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| *name == field)?;
        (*value != "null").then_some(*value)
    }

    fn value<T: DeserializeOwned>(&self, field: &str, kind: &str) -> Result<Option<T>, Refusal> {
        let Some(raw) = self.raw(field) else { return Ok(None) };
        let wrong = |_| (ErrorCode::InvalidRequest, format!("\"{field}\" must be {kind}"));
        serde_json::from_str(raw).map(Some).map_err(wrong)
    }

    fn id(&self) -> Result<Option<Id>, Refusal> {
        let Some(raw) = self.raw("id") else { return Ok(None) };
        let refused = |why: String| (ErrorCode::InvalidRequest, why);
        if !raw.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
            return Err(refused("\"id\" must be a string or a number".to_owned()));
        }
        if raw.len() > MAX_ID {
            return Err(refused(format!("\"id\" must be at most {MAX_ID} bytes of JSON")));
        }
        let value = RawValue::from_string(raw.to_owned());
        value.map(|value| Some(Id(value))).map_err(|error| refused(format!("\"id\": {error}")))
    }

    fn name(&self) -> Result<String, Refusal> {
        self.value("name", "a string").map(Option::unwrap_or_default)
    }

    fn names(&self) -> Result<Option<Vec<String>>, Refusal> {
        self.value("names", "a list of strings")
    }

    fn order(&self, verb: Verb) -> Result<Request, Refusal> {
        match self.names()? {
            Some(names) => Ok(Request::Many { verb, names }),
            None => Ok(verb.of_one(self.name()?)),
        }
    }

    fn treat_logs(&self, deed: LogDeed) -> Result<Request, Refusal> {
        match self.names()? {
            Some(names) => Ok(Request::TreatManyLogs { deed, names }),
            None => Ok(deed.of_one(self.name()?)),
        }
    }

    fn request(&self) -> Result<Request, Refusal> {
        let unknown = |what: &str| (ErrorCode::UnknownCommand, format!("Unknown command: {what}"));
        let raw = self.raw("command").ok_or_else(|| unknown("(none is given)"))?;
        let command: String = serde_json::from_str(raw).map_err(|_| unknown("(it must be a string)"))?;
        Ok(match command.as_str() {
            "status" => Request::Status(self.query()?),
            "start" => self.order(Verb::Start)?,
            "stop" => self.order(Verb::Stop)?,
            "restart" => {
                let force = self.value("force", "true or false")?.unwrap_or_default();
                self.order(Verb::Restart { force })?
            }
            "startgroup" => Request::StartGroup { name: self.name()? },
            "stopgroup" => Request::StopGroup { name: self.name()? },
            "reload" => Request::Reload,
            "dryreload" => Request::DryReload,
            "update" => Request::Update { names: self.names()? },
            "reopen" => Request::Reopen,
            "rotate" => self.treat_logs(LogDeed::Rotate)?,
            "clearlog" => self.treat_logs(LogDeed::Clear)?,
            "tail" => Request::Tail { name: self.name()?, stream: self.stream()?, query: self.tail_query()? },
            "maintail" => Request::MainTail(self.tail_query()?),
            "wait" => Request::Wait { conditions: self.conditions()?, timeout_ms: self.count("timeout_ms")? },
            "signal" => Request::Signal(self.signal_order()?),
            "why" => Request::Why { name: self.name()? },
            "describe" => Request::Describe { name: self.name()? },
            "events" => Request::Events(self.event_query()?),
            "metrics" => Request::Metrics,
            "info" => Request::Info,
            "shutdown" => Request::Shutdown,
            other => return Err(unknown(&text::echoed(other))),
        })
    }

    fn conditions(&self) -> Result<Vec<Condition>, Refusal> {
        let texts: Vec<String> = self.value("conditions", "a list of strings")?.unwrap_or_default();
        let wrong = |why: String| (ErrorCode::InvalidRequest, format!("\"conditions\": {}", text::echoed(&why)));
        if texts.is_empty() {
            return Err(wrong("there is none".to_owned()));
        }
        texts.iter().map(|text| Condition::from_text(text).map_err(wrong)).collect()
    }

    fn signal_order(&self) -> Result<SignalOrder, Refusal> {
        let names = match self.names()? {
            Some(names) => names,
            None => vec![self.name()?],
        };
        let signal = self.value("signal", "a string")?.unwrap_or_default();
        Ok(SignalOrder { signal, names, leader: self.value("leader", "true or false")?.unwrap_or_default() })
    }

    fn event_query(&self) -> Result<EventQuery, Refusal> {
        let follow = self.value("follow", "true or false")?.unwrap_or_default();
        Ok(EventQuery { since: self.count("since")?, follow })
    }

    fn count(&self, field: &str) -> Result<Option<u64>, Refusal> {
        self.value(field, "a whole number from 0 on")
    }

    fn stream(&self) -> Result<Stream, Refusal> {
        let wrong = || (ErrorCode::InvalidRequest, "\"stream\" must be \"stdout\" or \"stderr\"".to_owned());
        match self.value::<String>("stream", "a string")? {
            Some(name) => Stream::from_name(&name).ok_or_else(wrong),
            None => Ok(Stream::default()),
        }
    }

    fn tail_query(&self) -> Result<TailQuery, Refusal> {
        Ok(TailQuery {
            bytes: self.count("bytes")?,
            lines: self.count("lines")?,
            follow: self.value("follow", "true or false")?.unwrap_or_default(),
        })
    }

    fn query(&self) -> Result<StatusQuery, Refusal> {
        let count = |field| self.count(field).map(|n| n.map(saturate));
        Ok(StatusQuery {
            names: self.names()?,
            offset: count("offset")?.unwrap_or_default(),
            limit: count("limit")?,
            verbose: self.value("verbose", "true or false")?.unwrap_or_default(),
        })
    }
}

fn saturate(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(body: &str) -> Request {
        decode(body.as_bytes()).unwrap_or_else(|rejection| panic!("{body}: {rejection:?}")).request
    }

    fn refused(body: &[u8]) -> (&'static str, String, Option<String>) {
        let rejection = decode(body).expect_err(&String::from_utf8_lossy(body));
        (rejection.code.name(), rejection.message, rejection.id.map(|id| id.text().to_owned()))
    }

    #[test]
    fn every_command_is_read() {
        let name = || "web:00".to_owned();
        for (body, request) in [
            (r#"{"command":"status"}"#, Request::Status(StatusQuery::default())),
            (r#"{"command":"start","name":"web:00"}"#, Request::Start { name: name() }),
            (r#"{"command":"stop","name":"web:00"}"#, Request::Stop { name: name() }),
            (r#"{"command":"restart","name":"web:00"}"#, Request::Restart { name: name(), force: false }),
            (r#"{"command":"restart","name":"web:00","force":true}"#, Request::Restart { name: name(), force: true }),
            (r#"{"command":"startgroup","name":"web:00"}"#, Request::StartGroup { name: name() }),
            (r#"{"command":"stopgroup","name":"web:00"}"#, Request::StopGroup { name: name() }),
            (r#"{"command":"reload"}"#, Request::Reload),
            (r#"{"command":"dryreload"}"#, Request::DryReload),
            (r#"{"command":"update"}"#, Request::Update { names: None }),
            (r#"{"command":"update","names":["web:00"]}"#, Request::Update { names: Some(vec![name()]) }),
            (r#"{"command":"reopen"}"#, Request::Reopen),
            (r#"{"command":"rotate","name":"web:00"}"#, LogDeed::Rotate.of_one(name())),
            (r#"{"command":"clearlog","name":"web:00"}"#, LogDeed::Clear.of_one(name())),
            (
                r#"{"command":"clearlog","names":["web:00"]}"#,
                Request::TreatManyLogs { deed: LogDeed::Clear, names: vec![name()] },
            ),
            (
                r#"{"command":"tail","name":"web:00","stream":"stderr","lines":5,"follow":true}"#,
                Request::Tail {
                    name: name(),
                    stream: Stream::Stderr,
                    query: TailQuery { bytes: None, lines: Some(5), follow: true },
                },
            ),
            (r#"{"command":"describe","name":"web:00"}"#, Request::Describe { name: name() }),
            (r#"{"command":"metrics"}"#, Request::Metrics),
            (r#"{"command":"events"}"#, Request::Events(EventQuery::default())),
            (
                r#"{"command":"events","since":7,"follow":true}"#,
                Request::Events(EventQuery { since: Some(7), follow: true }),
            ),
            (
                r#"{"command":"maintail","bytes":1600}"#,
                Request::MainTail(TailQuery { bytes: Some(1600), ..TailQuery::default() }),
            ),
        ] {
            assert_eq!(ok(body), request);
            let again = String::from_utf8(request.encode()).unwrap();
            assert_eq!(ok(&again), request, "{again}");
        }
    }

    #[test]
    fn a_status_can_ask_for_less_or_more() {
        let query = StatusQuery {
            names: Some(vec!["a".to_owned(), "b:00".to_owned()]),
            offset: 10,
            limit: Some(5),
            verbose: true,
        };
        let body = r#"{"command":"status","names":["a","b:00"],"offset":10,"limit":5,"verbose":true}"#;
        assert_eq!(ok(body), Request::Status(query.clone()));
        assert_eq!(Request::Status(query).encode(), body.as_bytes());
    }

    #[test]
    fn what_is_not_given_null_or_unknown_is_not_an_error() {
        for body in [
            r#"{"command":"start"}"#,
            r#"{"command":"start","name":null,"force":[],"id":null}"#,
            r#"{"command":"start","name":"","timeout":{"x":[1]}}"#,
        ] {
            assert_eq!(ok(body), Request::Start { name: String::new() });
        }
        assert_eq!(ok(r#"{"command":"restart","force":null}"#), Request::Restart { name: String::new(), force: false });
        assert_eq!(ok(r#"{"command":"reload","name":7,"names":{}}"#), Request::Reload);
    }

    #[test]
    fn an_id_comes_back_as_the_text_it_was() {
        for id in [r#""a b""#, r#""\u0041\n""#, "7", "-0", "1.50", "123456789012345678901234567890", "1e5"] {
            let body = format!(r#"{{"id": {id} ,"command":"reload"}}"#);
            assert_eq!(decode(body.as_bytes()).unwrap().id.unwrap().text(), id);
            let rejected = refused(format!(r#"{{"id":{id},"command":"x"}}"#).as_bytes());
            assert_eq!(rejected.2.as_deref(), Some(id));
        }
    }

    #[test]
    fn every_refusal_has_its_code() {
        let long = format!(r#"{{"id":"{}","command":"reload"}}"#, "x".repeat(MAX_ID));
        let rows: &[(&[u8], &str, &str)] = &[
            (b"", "EMPTY_REQUEST", "Empty request"),
            (b" ", "INVALID_JSON", "Invalid JSON: EOF while parsing a value at line 1 column 1"),
            (b"{", "INVALID_JSON", "Invalid JSON: EOF while parsing an object at line 1 column 1"),
            (b"[]", "INVALID_REQUEST", "Request must be a JSON object"),
            (b"\"status\"", "INVALID_REQUEST", "Request must be a JSON object"),
            (b"null", "INVALID_REQUEST", "Request must be a JSON object"),
            (br#"{"command":"status","name":1,"name":2}"#, "INVALID_JSON", "key \"name\" is given twice"),
            (br#"{}"#, "UNKNOWN_COMMAND", "Unknown command: (none is given)"),
            (br#"{"command":null}"#, "UNKNOWN_COMMAND", "Unknown command: (none is given)"),
            (br#"{"command":[]}"#, "UNKNOWN_COMMAND", "Unknown command: (it must be a string)"),
            (br#"{"command":"explode"}"#, "UNKNOWN_COMMAND", "Unknown command: explode"),
            (br#"{"command":"\u001b[2J"}"#, "UNKNOWN_COMMAND", "Unknown command: \\x1b[2J"),
            (br#"{"command":"Status"}"#, "UNKNOWN_COMMAND", "Unknown command: Status"),
            (br#"{"command":"start","name":{}}"#, "INVALID_REQUEST", "\"name\" must be a string"),
            (br#"{"command":"start","name":7}"#, "INVALID_REQUEST", "\"name\" must be a string"),
            (br#"{"command":"restart","force":1}"#, "INVALID_REQUEST", "\"force\" must be true or false"),
            (br#"{"command":"status","names":"a"}"#, "INVALID_REQUEST", "\"names\" must be a list of strings"),
            (br#"{"command":"status","names":["a",1]}"#, "INVALID_REQUEST", "\"names\" must be a list of strings"),
            (br#"{"command":"status","offset":-1}"#, "INVALID_REQUEST", "\"offset\" must be a whole number"),
            (br#"{"command":"status","limit":1.5}"#, "INVALID_REQUEST", "\"limit\" must be a whole number"),
            (br#"{"command":"status","verbose":"yes"}"#, "INVALID_REQUEST", "\"verbose\" must be true or false"),
            (br#"{"command":"tail","stream":"log"}"#, "INVALID_REQUEST", "\"stream\" must be \"stdout\" or \"stderr\""),
            (br#"{"command":"tail","lines":-1}"#, "INVALID_REQUEST", "\"lines\" must be a whole number"),
            (br#"{"command":"maintail","follow":1}"#, "INVALID_REQUEST", "\"follow\" must be true or false"),
            (br#"{"id":[],"command":"reload"}"#, "INVALID_REQUEST", "\"id\" must be a string or a number"),
            (br#"{"id":true,"command":"reload"}"#, "INVALID_REQUEST", "\"id\" must be a string or a number"),
            (long.as_bytes(), "INVALID_REQUEST", "\"id\" must be at most 200 bytes of JSON"),
        ];
        for (body, code, message) in rows {
            let rejected = refused(body);
            assert_eq!((rejected.0, rejected.2), (*code, None), "{}", String::from_utf8_lossy(body));
            assert!(rejected.1.contains(message), "{}", rejected.1);
        }
    }
}
