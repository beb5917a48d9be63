//! Files that are encrypted to age recipients on their way to the disk, and opened on their way from it.
//!
//! Source: <https://age-encryption.org/v1>. Streams only: what is in a file is never on this machine's disk in the clear, and
//! never whole in memory.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use age::stream::StreamWriter;
use age::x25519::Recipient;
use age::{Decryptor, Encryptor, Identity, IdentityFile, Recipient as AnyRecipient};

fn other(error: impl ToString) -> io::Error {
    io::Error::other(error.to_string())
}

/// A file that is being written, sealed or in the clear.
pub enum Sealing {
    /// For nobody: as it is.
    Clear(File),
    /// To recipients.
    Sealed(Box<StreamWriter<File>>),
}

impl Sealing {
    /// Begins to write a file for these recipients; in the clear where there is none.
    ///
    /// # Errors
    /// If one of them is no recipient, or nothing can be written.
    pub fn begin(file: File, recipients: &[String]) -> io::Result<Self> {
        if recipients.is_empty() {
            return Ok(Self::Clear(file));
        }
        let known = recipients
            .iter()
            .map(|text| {
                text.parse::<Recipient>()
                    .map_err(|why| other(format!("`{text}` is no age recipient: {why}")))
            })
            .collect::<io::Result<Vec<_>>>()?;
        let known = known.iter().map(|one| one as &dyn AnyRecipient);
        let writer = Encryptor::with_recipients(known)
            .map_err(other)?
            .wrap_output(file)?;
        Ok(Self::Sealed(Box::new(writer)))
    }

    /// Ends it: without this a sealed file cannot be opened.
    ///
    /// # Errors
    /// If the last of it cannot be written.
    pub fn end(self) -> io::Result<File> {
        match self {
            Self::Clear(file) => Ok(file),
            Self::Sealed(writer) => writer.finish(),
        }
    }
}

impl Write for Sealing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(file) => file.write(bytes),
            Self::Sealed(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(file) => file.flush(),
            Self::Sealed(writer) => writer.flush(),
        }
    }
}

/// A file's content, opened with the identities of a file where one is given.
///
/// # Errors
/// If it cannot be read, or none of the identities opens it.
pub fn open(file: &Path, identity: Option<&Path>) -> io::Result<Box<dyn Read>> {
    let source = BufReader::new(File::open(file)?);
    let Some(path) = identity else {
        return Ok(Box::new(source));
    };
    let text = BufReader::new(File::open(path)?);
    let identities = IdentityFile::from_buffer(text)?
        .into_identities()
        .map_err(|error| other(format!("{}: {error}", path.display())))?;
    let opened = Decryptor::new_buffered(source)
        .and_then(|sealed| sealed.decrypt(identities.iter().map(|one| &**one as &dyn Identity)))
        .map_err(|error| other(format!("{}: {error}", file.display())))?;
    Ok(Box::new(opened))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use age::secrecy::ExposeSecret as _;
    use age::x25519;

    use super::*;

    fn written(path: &Path, recipients: &[String]) {
        let file = File::create(path).unwrap();
        let mut out = Sealing::begin(file, recipients).unwrap();
        out.write_all(b"all of its secrets").unwrap();
        out.end().unwrap();
    }

    #[test]
    fn what_is_sealed_is_opened_by_a_recipient_and_by_nobody_else() {
        let place = tempfile::tempdir().unwrap();
        let (file, mine, foreign) = (
            place.path().join("x.db.age"),
            place.path().join("mine"),
            place.path().join("foreign"),
        );
        let identity = x25519::Identity::generate();
        std::fs::write(&mine, identity.to_string().expose_secret()).unwrap();
        let stranger = x25519::Identity::generate();
        std::fs::write(&foreign, stranger.to_string().expose_secret()).unwrap();
        let second = x25519::Identity::generate().to_public().to_string();
        written(&file, &[second, identity.to_public().to_string()]);

        let sealed = std::fs::read(&file).unwrap();
        assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
        assert!(!sealed.windows(7).any(|part| part == b"secrets"));
        let mut text = String::new();
        let mut opened = open(&file, Some(&mine)).unwrap();
        opened.read_to_string(&mut text).unwrap();
        assert_eq!(text, "all of its secrets");
        assert!(open(&file, Some(&foreign)).is_err());
    }

    #[test]
    fn without_a_recipient_it_is_as_it_is_and_a_wrong_one_is_told() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("x.db");
        written(&file, &[]);
        let mut text = String::new();
        open(&file, None)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "all of its secrets");
        let wrong = Sealing::begin(File::create(&file).unwrap(), &["age1x".to_owned()]);
        assert!(wrong.is_err_and(|error| error.to_string().contains("`age1x`")));
    }
}
