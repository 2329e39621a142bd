//! Servers with bad habits, each on a port of its own, in threads that end with the test program.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port at which nobody listens.
pub fn closed_port() -> u16 {
    listener().1
}

/// What a server does with each connection; how many it had.
pub fn serve(habit: impl Fn(TcpStream) + Send + Sync + 'static) -> (u16, Arc<AtomicUsize>) {
    let (listener, port) = listener();
    let count = Arc::new(AtomicUsize::new(0));
    let (counter, habit) = (Arc::clone(&count), Arc::new(habit));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::SeqCst);
            let habit = Arc::clone(&habit);
            std::thread::spawn(move || habit(stream));
        }
    });
    (port, count)
}

/// Reads the request, up to the empty line.
pub fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        text.push(byte[0]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A web server with one answer.
pub fn answers(answer: &'static str) -> u16 {
    serve(move |mut stream| {
        request(&mut stream);
        let _ = stream.write_all(answer.as_bytes());
    })
    .0
}

/// Takes connections and says nothing, for ever.
pub fn silent() -> u16 {
    serve(|mut stream| while stream.read(&mut [0; 64]).unwrap_or(0) > 0 {}).0
}

/// One byte, a pause, one byte.
pub fn dripping(pause: Duration) -> u16 {
    serve(move |mut stream| {
        request(&mut stream);
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: ".iter().chain(std::iter::repeat_n(&b'x', 10_000)) {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(pause);
        }
    })
    .0
}

/// A body of a gigabyte, as long as anybody reads; how many bytes went out.
pub fn gigabyte() -> (u16, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let (port, _) = serve(move |mut stream| {
        request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
        let block = vec![b'x'; 1 << 20];
        for _ in 0..1024 {
            match stream.write(&block) {
                Ok(count) => counter.fetch_add(count, Ordering::SeqCst),
                Err(_) => return,
            };
        }
    });
    (port, sent)
}

/// Lets go of each connection with a reset.
pub fn resetting() -> u16 {
    serve(|stream| {
        // What is left unread makes the close a reset.
        std::thread::sleep(Duration::from_millis(100));
        drop(stream);
    })
    .0
}

/// A listener that accepts nobody and whose queue is full: a connect to it waits.
pub struct Full {
    _listener: TcpListener,
    _callers: Vec<TcpStream>,
    pub port: u16,
}

pub fn full() -> Full {
    let (listener, port) = listener();
    // Once more, with the shortest queue there is.
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut callers = Vec::new();
    while callers.len() < 64 {
        match TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            Ok(caller) => callers.push(caller),
            Err(_) => break,
        }
    }
    assert!(callers.len() < 64, "the queue of a listener fills");
    Full { _listener: listener, _callers: callers, port }
}
