//! The scripts that make shells ask `PROGRAM complete -- WORD...` what may come next. They hold no word of any command, so
//! that they stay right when the program learns new ones.

/// A shell that has completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// Bash, 3.2 or later.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
}

/// Names that come from a daemon are data: nothing here lets a shell evaluate them.
const BASH: &str = r#"# Completion for PROGRAM in bash: eval "$(ASK_SCRIPT bash)", or a file in bash-completion's folder.
_PROGRAM() {
    local line=${COMP_LINE:0:COMP_POINT} current head='' quote='' breaks='' mode='' value about
    local IFS=$' \t\n'
    local -a words
    COMPREPLY=()
    # A backslash before a blank keeps a word whole.
    read -a words <<<"$line"
    if [[ $line == *[[:blank:]] && $line != *\\[[:blank:]] ]]; then words+=(''); fi
    current=${words[${#words[@]} - 1]}
    if [[ $current == [\'\"]* ]]; then
        quote=1
        current=${current:1}
        words[${#words[@]} - 1]=$current
    else
        # Bash replaces only what follows the last of these.
        if [[ $COMP_WORDBREAKS == *:* ]]; then breaks+=:; fi
        if [[ $COMP_WORDBREAKS == *=* ]]; then breaks+='='; fi
        if [[ $breaks ]]; then head=${current%"${current##*[$breaks]}"}; fi
    fi
    while IFS=$'\t' read -r value about; do
        if [[ ! $mode ]]; then
            mode=$value
            continue
        fi
        value=${value#"$head"}
        if [[ ! $quote ]]; then
            printf -v value %q "$value"
        elif [[ $value == *[\'\"\\\`\$]* ]]; then
            continue
        fi
        COMPREPLY+=("$value")
    done < <("${words[0]/#\~\//$HOME/}" ASK -- "${words[@]:1}" 2>/dev/null)
    case $mode in
    files)
        compopt -o filenames 2>/dev/null
        while read -r value; do COMPREPLY+=("$value"); done < <(compgen -f -- "${current##*=}")
        ;;
    open) compopt -o nospace 2>/dev/null ;;
    esac
    return 0
}
complete -F _PROGRAM PROGRAM
"#;

const ZSH: &str = r##"#compdef PROGRAM
# Completion for PROGRAM in zsh: source <(ASK_SCRIPT zsh), or a file _PROGRAM in a folder of $fpath.
_PROGRAM() {
    local -a answer values shown
    local line program=${(Q)words[1]}
    answer=("${(@f)$(${~program} ASK -- "${(@Q)words[2,CURRENT - 1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    if [[ $answer[1] == files ]]; then
        compset -P '*='
        _files
        return
    fi
    for line in "${(@)answer[2,-1]}"; do
        values+=("${line%%$'\t'*}")
        shown+=("${${line%$'\t'}/$'\t'/  -- }")
    done
    (( $#values )) || return 1
    if [[ $answer[1] == open ]]; then
        compadd -S '' -l -d shown -a values
    else
        compadd -l -d shown -a values
    fi
}
if [[ $funcstack[1] == _PROGRAM ]]; then
    _PROGRAM "$@"
else
    compdef _PROGRAM PROGRAM
fi
"##;

const FISH: &str = r#"# Completion for PROGRAM in fish: ASK_SCRIPT fish | source, or a file in fish's folder of completions.
function __PROGRAM_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    set -l answer ($program ASK -- $words[2..-1] "$current" 2>/dev/null)
    if test "$answer[1]" = files
        set -l head (string match -r '^-[^=]*=' -- "$current"; or echo)
        for path in (__fish_complete_path (string replace -r '^-[^=]*=' '' -- "$current"))
            echo "$head[1]$path"
        end
    else if set -q answer[2]
        printf '%s\n' $answer[2..-1]
    end
end
complete -c PROGRAM -f -a '(__PROGRAM_complete)'
"#;

impl Shell {
    /// The shell of this name.
    pub fn from_word(word: &str) -> Result<Shell, String> {
        match word {
            "bash" => Ok(Shell::Bash),
            "zsh" => Ok(Shell::Zsh),
            "fish" => Ok(Shell::Fish),
            other => Err(format!("{other:?} is none of bash, zsh, fish")),
        }
    }

    /// The script for a program that answers to `ask`, such as `complete`, and prints this script by `ask_script`.
    pub fn script(self, program: &str, ask: &str, ask_script: &str) -> String {
        let script = match self {
            Shell::Bash => BASH,
            Shell::Zsh => ZSH,
            Shell::Fish => FISH,
        };
        script.replace("ASK_SCRIPT", &format!("{program} {ask_script}")).replace("PROGRAM", program).replace("ASK", ask)
    }
}
