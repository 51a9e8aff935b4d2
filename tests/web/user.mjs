// A user of the applications that have a login and a counter, with a browser profile of its own.
export class User {
  static async open(chromium, url) {
    const user = new User();
    user.context = await chromium.newContext();
    user.page = await user.openTab(url);
    return user;
  }

  async openTab(url) {
    const page = await this.context.newPage();
    await page.goto(url);
    return page;
  }

  goTo(url) {
    return this.page.goto(url);
  }

  async logIn(name) {
    await this.page.locator('input[name=name]').fill(name);
    await this.page.getByRole('button', { name: 'Log in' }).click();
    await this.waitForName(`Hello, ${name}`);
  }

  async count(expected) {
    await this.page.getByRole('button', { name: 'Count' }).click();
    await this.page.locator('#count', { hasText: new RegExp(`^${expected}$`) }).waitFor();
  }

  async logOut() {
    await this.page.getByRole('button', { name: 'Log out' }).click();
    await this.waitForName('not logged in');
  }

  waitForName(who) {
    return this.page.locator('#who', { hasText: who }).waitFor();
  }

  close() {
    return this.context.close();
  }
}
