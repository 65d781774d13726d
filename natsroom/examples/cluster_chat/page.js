let past = null; // lines that came before the page was welcome
let last = "";   // the last line that was shown

function receive(line) {
  const name = /^\* You are (.+)\.$/.exec(line);
  if (name) {
    past = [];
    joined(name[1]);
  } else if (line.startsWith("* Welcome: ")) welcome();
  else if (line.startsWith("* ")) show(line.slice(2), "lost"); // missed, or not sent
  else if (past) past.push(line);
  else tell(line);
}

// Lines have the time to the millisecond, so hardly any two are alike: what
// follows the last one that was shown is new.
function welcome() {
  const at = past.lastIndexOf(last);
  if (last && at < 0) show("You were away: what was said meanwhile may be missing here.", "lost");
  for (const line of past.slice(at + 1)) tell(line);
  past = null;
}

function tell(line) {
  last = line;
  said(line.slice(13), line.slice(0, 8) + " UTC");
}

function renamed() {}
