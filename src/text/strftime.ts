const months = 'January February March April May June July August September October November December'.split(' ');
const days = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

/**
 * Formats local time as Python's `datetime.strftime` does on Linux in the C locale, `%-d` for no padding included. Knows the
 * directives of dates and times of day; others (week numbers, time zones, locale forms) stay as they are.
 *
 * @param date The time.
 * @param format Text with directives such as `%d %b %Y`.
 */
export function strftime(date: Date, format: string): string {
  const fields = fieldsOf(date);
  return format.replace(/%(-?)([a-zA-Z%])/g, (directive, bare: string, letter: string) => {
    const value = Object.hasOwn(fields, letter) ? fields[letter]! : undefined;
    if (value === undefined) return directive;
    return bare === '' ? value : value.replace(/^[0 ]+(?=.)/, '');
  });
}

function fieldsOf(date: Date): Readonly<Record<string, string>> {
  const two = (value: number): string => String(value).padStart(2, '0');
  const year = date.getFullYear();
  const [month, day, hour, minute, second] = [
    date.getMonth() + 1,
    date.getDate(),
    date.getHours(),
    date.getMinutes(),
    date.getSeconds(),
  ].map(two);
  const monthName = months[date.getMonth()]!;
  const dayName = days[date.getDay()]!;
  // Counted in UTC so that summer time takes no hour from a day.
  const dayOfYear = (Date.UTC(year, date.getMonth(), date.getDate()) - Date.UTC(year, 0, 0)) / 86_400_000;
  return {
    Y: String(year),
    y: two(year % 100),
    m: month!,
    B: monthName,
    b: monthName.slice(0, 3),
    d: day!,
    e: String(date.getDate()).padStart(2),
    j: String(dayOfYear).padStart(3, '0'),
    A: dayName,
    a: dayName.slice(0, 3),
    w: String(date.getDay()),
    H: hour!,
    I: two(date.getHours() % 12 || 12),
    M: minute!,
    S: second!,
    p: date.getHours() < 12 ? 'AM' : 'PM',
    F: `${year}-${month}-${day}`,
    T: `${hour}:${minute}:${second}`,
    R: `${hour}:${minute}`,
    '%': '%',
  };
}
