import { sessions } from 'cloakroom-sessions/web';

export const store = sessions({ service: process.env.CLOAKROOM_ADDRESS, app: 'shop', deadline: 5000 });
