# SPDX-License-Identifier: MIT
# Completion of etalon(1) for bash; `make install` puts it into share/bash-completion/completions.
_etalon() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' word
    local commands='replay check-cases record check judge decode encode shrink compare'
    commands+=' reproduce torture'
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case " $commands " in *" $word "*) command=$word && break ;; esac
    done
    COMPREPLY=()
    case $previous in
    --world | -w) mapfile -t COMPREPLY < <(compgen -W 'simulated real' -- "$current") && return ;;
    --output | -o)
        if [ "$command" = encode ] || [ "$command" = compare ]; then
            mapfile -t COMPREPLY < <(compgen -d -- "$current")
        else
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
        fi
        return
        ;;
    --report) mapfile -t COMPREPLY < <(compgen -d -- "$current") && return ;;
    --fail | --sample | --seed | --random | --case | --clause | --tolerate) return ;;
    --jobs | --watchdog | --gate | --observes | --seconds) return ;;
    esac
    if [[ $current == -* ]]; then
        local options='--help'
        case $command in
        '') options='--help --version' ;;
        replay) options+=' --world --quiet --fail --no-fork' ;;
        check-cases) options+=' --world --seconds' ;;
        record) options+=' --world --output --events' ;;
        decode | encode) options+=' --output' ;;
        shrink) options+=' --world --output --seconds' ;;
        check)
            options='--case --clause --list --dry-run --random --seed --jobs --watchdog --strict'
            options+=' --outside --gate --matrix --quiet --json --summary'
            options+=' --html --tap --junit --tolerate --baseline --update-baseline'
            options+=' --cases --law --profiles --help'
            ;;
        reproduce) options='--output --adapter --whole --cases --law --help' ;;
        judge) options='--keep-going --strict --json --observes --quiet --help' ;;
        torture) options='--sample --seed --expect --report --help' ;;
        compare) options='--random --seed --output --help' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    elif [ -z "$command" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -o filenames -F _etalon etalon
