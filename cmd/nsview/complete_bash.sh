# Of the word before the cursor, $cur: what it stands for (typed), the quote that is open in it (quote), the part of it that
# readline will replace (raw), and what the part before that stands for (kept). It fails where the word is none yet, such as
# after a lone backslash in quotes.
__nsview_read_word()
{
    local i c open=0 start=0
    quote=''
    for ((i = 0; i < ${#cur}; i++)); do
        c=${cur:i:1}
        case $quote$c in
        "''" | '""') quote='' ;;
        "'"?) ;;
        '\' | '"\') ((i++)) ;;
        '"'?) ;;
        [\'\"]) quote=$c open=$((i + 1)) ;;
        *) [[ $COMP_WORDBREAKS == *"$c"* ]] && start=$((i + 1)) ;;
        esac
    done
    kept=${cur:0:start} raw=${cur:start}
    if [[ -n $quote ]]; then
        kept=${cur:0:open-1} raw=${cur:open}
    fi
    # What the user typed may have variables in it.
    eval "typed=$cur$quote" 2>/dev/null && eval "kept=$kept" 2>/dev/null
}

# A text as it is written where $quote is open, in REPLY.
__nsview_quoted()
{
    local text=$1
    case $quote in
    "'") text=${text//"'"/"'\\''"} ;;
    '"')
        text=${text//'\'/'\\'}
        text=${text//'"'/'\"'}
        text=${text//'$'/'\$'}
        text=${text//'`'/'\`'}
        text=${text//'!'/"\"'!'\""} # history
        ;;
    *) [[ -z $text ]] || printf -v text %q "$text" ;;
    esac
    REPLY=$text
}

# Fills COMPREPLY with the completions that continue what is typed, each once. A name may be any container's: what is put on
# the command line is always quoted, also the beginning that several names share, or the next completion would execute a name.
__nsview_handle_completion_types()
{
    local tab=$'\t' line name prefix='' seen=$'\n' quoted=() several=() longest=0 REPLY

    for line in "${completions[@]}"; do
        name=${line%%"$tab"*}
        [[ $name == "$typed"* && $seen != *$'\n'"$name"$'\n'* ]] || continue
        seen+=$name$'\n'
        if [[ ${#several[@]} = 0 ]]; then
            prefix=$name
        fi
        several+=("$line")
        while [[ $name != "$prefix"* ]]; do prefix=${prefix%?}; done
        __nsview_quoted "${name#"$kept"}"
        quoted+=("$REPLY")
        ((${#name} <= longest)) || longest=${#name}
    done
    # 37 and 42 are menu-complete and insert-completions.
    if ((${#quoted[@]} < 2)) || [[ $COMP_TYPE == 37 || $COMP_TYPE == 42 ]]; then
        COMPREPLY=("${quoted[@]}")
        return
    fi
    if [[ $prefix != "$typed" ]]; then
        # With the beginning itself among them, it is what readline finds that they share.
        __nsview_quoted "${prefix#"$kept"}"
        COMPREPLY=("$REPLY" "${quoted[@]}")
        return
    fi
    # They are listed as they are, and readline puts what they share in the place of what is typed, as it is. If that is another
    # text, a blank is listed too, with which they share nothing.
    COMPREPLY=("${several[@]}")
    __nsview_format_comp_descriptions "$longest"
    prefix=${COMPREPLY[0]}
    for line in "${COMPREPLY[@]}"; do
        while [[ $line != "$prefix"* ]]; do prefix=${prefix%?}; done
    done
    [[ $prefix == "$raw" ]] || COMPREPLY+=(' ')
}
