"""What Python makes of the same bytes: one process answers any number of questions.

A question on stdin: one byte of kind, four of length (big-endian), the bytes. An answer on stdout: four bytes of
length, then a list of strings, each with four bytes of length before it. The first string is "ok" or "error".
"""

import configparser
import io
import shlex
import struct
import sys


def as_text(data):
    """A file as the reference opens it: universal newlines, a byte order mark dropped."""
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig")


def ini(data):
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_file(as_text(data))
    except UnicodeDecodeError:
        return ["error"]
    except configparser.MissingSectionHeaderError as error:
        return ["error", str(error.lineno)]
    except configparser.ParsingError as error:
        return ["error"] + [str(line) for line, _ in error.errors]
    except configparser.Error as error:
        return ["error", str(error.lineno)]
    answer = ["ok"]
    for section in parser.sections():
        answer += ["section", section]
        own = parser._sections[section]
        for option in own:
            answer += ["option", option, own[option]]
        # What a section sees includes what it inherits.
        for option in parser.defaults():
            answer += ["sees", option, parser.get(section, option)]
    answer += ["section", "DEFAULT"]
    for option, value in parser.defaults().items():
        answer += ["option", option, value]
    return answer


def words(data):
    try:
        return ["ok"] + shlex.split(data.decode(), posix=True)
    except ValueError:
        return ["error"]


def is_name(key):
    """The rule for names that the reference lacks. A comma in one is the end of an item without `=`."""
    return bool(key) and not any(c.isspace() or c in "=\0" for c in key)


def environment(data):
    """The reference's parser of `environment`; where it stops silently, this is an error."""
    value = data.decode()
    env = {}
    i = 0
    n = len(value)
    while i < n:
        while i < n and value[i] in (" ", "\t"):
            i += 1
        if i >= n:
            break
        eq_pos = value.find("=", i)
        if eq_pos < 0:
            return ["error"]
        key = value[i:eq_pos].strip()
        if not is_name(key) or "," in key:
            return ["error"]
        i = eq_pos + 1
        while i < n and value[i] in (" ", "\t"):
            i += 1
        if i >= n:
            env[key] = ""
            break
        if value[i] in ('"', "'"):
            quote = value[i]
            i += 1
            val_start = i
            while i < n and value[i] != quote:
                i += 1
            if i >= n:
                return ["error"]
            env[key] = value[val_start:i]
            i += 1
            while i < n and value[i] in (",", " ", "\t"):
                i += 1
        else:
            val_start = i
            while i < n and value[i] != ",":
                i += 1
            env[key] = value[val_start:i].strip()
            if i < n:
                i += 1
    return ["ok"] + [text for pair in env.items() for text in pair]


def env_file(data):
    """The reference's parser of env files; NUL and names with blanks are errors besides."""
    env = {}
    try:
        for line in as_text(data):
            if "\0" in line:
                return ["error"]
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            key, sep, val = line.partition("=")
            key = key.strip()
            if not sep or not is_name(key):
                return ["error"]
            val = val.strip()
            if len(val) >= 2 and val[0] == val[-1] and val[0] in ('"', "'"):
                val = val[1:-1]
            env[key] = val
    except UnicodeDecodeError:
        return ["error"]
    return ["ok"] + [text for pair in env.items() for text in pair]


def expand(data):
    return ["ok"] + [data.decode().replace("%(process_num)s", "%02d" % number) for number in (0, 7, 123)]


KINDS = {b"i": ini, b"w": words, b"e": environment, b"f": env_file, b"x": expand}


def main():
    questions = sys.stdin.buffer
    while kind := questions.read(1):
        (length,) = struct.unpack(">I", questions.read(4))
        answer = b"".join(
            struct.pack(">I", len(text)) + text
            for text in (text.encode() for text in KINDS[kind](questions.read(length)))
        )
        sys.stdout.buffer.write(struct.pack(">I", len(answer)) + answer)
        sys.stdout.buffer.flush()


main()
