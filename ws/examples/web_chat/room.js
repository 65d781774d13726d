let room = "", seen = 0;

// The greeting tells how many messages the room has had, so that what was
// missed in between is known.
function greeted(id, count) {
  if (room && id !== room) show("The server was restarted: what was said meanwhile is lost.", "lost");
  else if (room && count > seen) show(`You have missed ${count - seen} message${count - seen === 1 ? "" : "s"}.`, "lost");
  room = id;
  seen = count;
}

function receive(line) {
  let found = /^\* You are (.+) in room (\S+) after (\d+) messages\.$/.exec(line);
  if (found) {
    greeted(found[2], Number(found[3]));
    return joined(found[1]);
  }
  found = /^\* You were too slow and missed (\d+) messages\.$/.exec(line);
  if (found) {
    seen += Number(found[1]);
    return show(line.slice(2), "lost");
  }
  seen++;
  said(line);
}

function renamed() {
  room = ""; // that the old name has left is not missed
}
